"""``gridedge check`` and ``gridedge schema``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from controller.config.find import find_site
from controller.config.finding import SiteError
from controller.config.loader import Loaded, load
from controller.config.reference import reference_markdown
from controller.config.schema import SiteFile
from controller.config.summary import summary


@click.command()
@click.argument("site")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def check(site: str, as_json: bool) -> None:
    """Say everything that is wrong with a site file, or what the site is.

    SITE is a path, or the name of a file in site_configs/ without its ending. Exit code 0: fit for service; 1: not.
    """
    try:
        path = find_site(site)
        loaded = load(path)
    except SiteError as error:
        _refuse(error, as_json)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    else:
        _accept(path, loaded, as_json)


def _refuse(error: SiteError, as_json: bool) -> None:
    if as_json:
        findings = [asdict(finding) for finding in error.findings]
        click.echo(json.dumps({"file": error.name, "ok": False, "findings": findings}, indent=2, ensure_ascii=False))
    else:
        count = len(error.findings)
        click.echo(f"{error}\n{error.name}: refused, {count} mistake{'s' if count > 1 else ''}")
    raise SystemExit(1)


def _accept(path: Path, loaded: Loaded, as_json: bool) -> None:
    if not as_json:
        click.echo(f"{summary(loaded)}\n{path.name}: ok")
        return
    site = loaded.site
    about = {
        "file": path.name,
        "ok": True,
        "findings": [],
        "profiles_checked": loaded.profiles_checked,
        "site": site.name,
        "buses": [bus.id for bus in site.topology.buses],
        "branches": [branch.id for branch in site.topology.branches],
        "units": {unit.id: asdict(unit.fail_safe) for unit in site.units},
        "limits": [limit.id for limit in site.limits],
        "devices": [device.id for device in site.devices],
    }
    click.echo(json.dumps(about, indent=2, ensure_ascii=False))


@click.command()
@click.option("--markdown", is_flag=True, help="Print the reference of all keys as a page for people.")
def schema(markdown: bool) -> None:
    """Print the JSON Schema of a site file, for editors that complete and check while typing."""
    if markdown:
        click.echo(reference_markdown(), nl=False)
        return
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gridedge site file"}
    click.echo(json.dumps(document | SiteFile.model_json_schema(), indent=2, ensure_ascii=False))
