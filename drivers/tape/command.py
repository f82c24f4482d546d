"""``gridedge field-replay``: what was on the wire, and whether we made the right thing of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from drivers.tape.reader import read
from drivers.tape.replay import Played, play
from drivers.tape.report import as_json, as_text, exchange_line
from drivers.tape.wire import Exchange


@click.command(name="field-replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--exchanges", is_flag=True, help="Print every request and its answer too.")
@click.option("--show", type=click.IntRange(min=0), default=10, show_default=True, help="Faults to explain.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON object instead of text.")
def field_replay(file: Path, *, exchanges: bool, show: int, as_document: bool) -> None:
    """Feed the recorded bytes of FILE (`--record-field` of run, points and scan) to this version's codec and drivers.

    Explains every answer that was refused, field by field and register by register, shows what each device said last,
    and compares every value that was published with what the bytes say. Exit status 0: all of them come out again to
    the last bit. 1: some do not, or the file is damaged (what comes before the damage is shown) or cannot be used.
    """
    remarks: list[str] = []
    played = Played(remarks=remarks)
    each: Callable[[Exchange], None] | None = None
    if exchanges and not as_document:
        each = lambda exchange: click.echo(exchange_line(played, exchange))  # noqa: E731 - too small for a name
    try:
        play(read(file, remarks), played, each)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if as_document:
        click.echo(json.dumps(as_json(played), indent=2, ensure_ascii=False))
    else:
        for line in as_text(played, show):
            click.echo(line)
    sys.exit(0 if played.exact else 1)
