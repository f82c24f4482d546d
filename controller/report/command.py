"""``gridedge report``: the page of the morning for the control team."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import click

from controller.balancing.national.sales import read_sales
from controller.config.find import find_site
from controller.config.loader import load
from controller.domain.site import Site
from controller.durable import naming
from controller.history.store import open_to_read
from controller.readable_errors import readable_errors
from controller.report.findings import find
from controller.report.page import page
from controller.report.past import read_past, site_stored, span_stored
from controller.report.recorded import keep
from controller.report.words import verdict

TIME = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@click.command()
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of a station's store.")
@click.option("--record", type=click.Path(path_type=Path), help="Recording of `gridedge run --record` instead.")
@click.option("--site", "site_name", help="Site file; left out: the one of the store's name.")
@click.option(
    "--from",
    "from_local",
    type=click.DateTime(TIME),
    help="Local time to begin with; of one that comes twice the first; left out: all.",
)
@click.option("--to", "to_local", type=click.DateTime(TIME), help="Local time to end with.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the page to this file.")
@click.option("--pdf", type=click.Path(path_type=Path, dir_okay=False), help="Write figures and tables to this PDF.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of the verdict.")
def report(
    *,
    data: Path | None,
    record: Path | None,
    site_name: str | None,
    from_local: datetime | None,
    to_local: datetime | None,
    html: Path | None,
    pdf: Path | None,
    as_json: bool,
) -> None:
    """Say what bound, what was used, what it cost, who gave up what and why, from --data or from --record.

    Compares with a last-in-first-out threshold scheme, replayed on the recorded flows, and checks the record of
    curtailments from its first entry on. --pdf needs the extra 'report'.
    """
    if (data is None) == (record is None):
        raise click.UsageError("expected one of --data and --record")
    with readable_errors(sqlite3.Error), _history(data, record) as (db, recorded):
        site, title = _site(db, site_name, recorded)
        first_s, last_s = span_stored(db)
        zone = ZoneInfo(site.timezone)
        span = (_utc_s(from_local, zone, first_s), _utc_s(to_local, zone, last_s))
        past = read_past(db, *span)
        past = replace(past, proof=None) if data is None else replace(past, sales=read_sales(data, *span))
        found = find(site, past)
        if html is not None:
            html.write_text(page(site, title, past, found), encoding="utf-8")
        if pdf is not None:
            _draw_pdf(pdf, title, (site, past, found))
        good, sentence = verdict(found, past)
    if as_json:
        about = {"site": site.name, "from_utc_s": past.start_utc_s[0], "to_utc_s": past.start_utc_s[-1] + past.period_s}
        known = past.proof
        proof = None if known is None else {"entries": known.entries, "head": known.head, "fault": known.fault}
        everything = about | {"good": good, "verdict": sentence, "lost_s": past.lost_s, "proof": proof} | asdict(found)
        click.echo(json.dumps(everything, indent=1, allow_nan=False))
    else:
        click.echo(sentence)


@contextmanager
def _history(data: Path | None, record: Path | None) -> Iterator[tuple[sqlite3.Connection, Site | None]]:
    """The store to read; of a recording, one that is made for the while, and the site that was recorded."""
    with ExitStack() as while_it_lasts:
        recorded: Site | None = None
        if record is not None:
            data = Path(while_it_lasts.enter_context(TemporaryDirectory(prefix="gridedge-report-")))
            recorded = keep(record, data)
        assert data is not None
        while_it_lasts.enter_context(naming(data))
        yield while_it_lasts.enter_context(closing(open_to_read(data))), recorded


def _site(db: sqlite3.Connection, name: str | None, recorded: Site | None) -> tuple[Site, str]:
    """The site that the report is of, and its title."""
    if name is None and recorded is not None:
        return recorded, recorded.name
    name = name or site_stored(db)
    loaded = load(find_site(name))
    return loaded.site, loaded.file.site.title or loaded.site.name


def _utc_s(local: datetime | None, zone: ZoneInfo, otherwise_s: float) -> float:
    return otherwise_s if local is None else local.replace(tzinfo=zone).timestamp()


def _draw_pdf(path: Path, title: str, what: tuple[object, ...]) -> None:
    try:
        from controller.report.pdf import write_pdf
    except ModuleNotFoundError as missing:
        if missing.name != "matplotlib":
            raise
        raise ValueError("--pdf needs matplotlib; expected the extra 'report' to be installed") from missing
    write_pdf(path, title, *what)  # type: ignore[arg-type]
