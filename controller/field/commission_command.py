"""``gridedge commission``: prove a device before it is trusted, and keep the proof."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from controller.app import move_port, open_devices, supported_commands
from controller.clock import SystemClock
from controller.config.catalogue import installed_catalogue
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.site import Device, Site
from controller.field.commission import Commissioning
from controller.field.commission_record import as_text, compare, record
from controller.field.points_command import chosen
from controller.ports import FieldDevice
from controller.readable_errors import readable_errors
from controller.runtime.supervisor import stop_on_signals


@click.command()
@click.argument("site")
@click.argument("device", required=False)
@click.option("--yes-write", is_flag=True, help="Move the units: step them down, fall silent, leave them fail-safe.")
@click.option("--by", required=True, help="Who is there and signs.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder for the records.")
@click.option("--port-offset", type=int, default=0, help="Add this to the TCP port of every device.")
@click.option("--speed", type=click.FloatRange(0.0, 1e5, min_open=True), default=1.0, help="Site seconds per second.")
def commission(
    site: str, device: str | None, *, yes_write: bool, by: str, out: Path, port_offset: int, speed: float
) -> None:
    """Measure DEVICE of SITE (or all, one after the other) and write a record to sign, as JSON and as text.

    Without --yes-write it only reads. With it every commanded unit is halved, held, left alone until its lease must
    have ended, and set to its fail-safe set point, also when it is broken off: stop the controller first, and tell the
    network operator. Exit status 1: something differs from the profile or the site file, or it was broken off.
    """
    with readable_errors():
        path = find_site(site)
        configured = load_site(path)
        devices = chosen(configured.devices, (device,) if device is not None else ())
        moved = tuple(replace(item, endpoint=move_port(item.endpoint, port_offset)) for item in devices)
        out.mkdir(parents=True, exist_ok=True)
        clock = SystemClock(speed)
        links = open_devices(moved, clock)
    about = {
        "site": configured.name,
        "by": by,
        "version": version("gridedge"),
        "site_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    kept: list[dict[str, Any]] = []

    def keep(document: dict[str, Any]) -> None:
        kept.append(document)
        _keep(document, out)

    ended = asyncio.run(_until_stopped(_all(configured, moved, links, clock, about, yes_write, keep)))
    differs = any(finding["verdict"] == "differs" for document in kept for finding in document["findings"])
    sys.exit(1 if differs or not ended else 0)


async def _until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do it, or on SIGINT or SIGTERM break it off, which leaves the unit safe first; True when it was done."""
    stop = asyncio.Event()
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    with stop_on_signals(stop):
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait((working,))
    if not working.cancelled():
        working.result()
    return not working.cancelled()


async def _all(
    site: Site,
    devices: tuple[Device, ...],
    links: dict[str, FieldDevice],
    clock: SystemClock,
    about: dict[str, str],
    may_write: bool,
    keep: Callable[[dict[str, Any]], None],
) -> None:
    """One device after the other: two units that move at once would measure each other.

    ``keep`` gets every record as soon as there is one, also that of a device with which it was broken off.
    """
    catalogue = installed_catalogue()
    commands = supported_commands(devices)
    units = {unit.id: unit for unit in site.units}
    try:
        for device in devices:
            unit = units.get(device.unit) if device.unit is not None else None
            steps = Commissioning(device, unit, links[device.id], clock, lambda text: click.echo(text, err=True))
            try:
                await steps.run(may_write=may_write, commands=commands[device.id])
            except asyncio.CancelledError:
                if steps.found is not None:
                    steps.found.notes.append("broken off: what is missing was not measured")
                raise
            finally:
                if steps.found is not None:
                    fails = catalogue.fails(device.profile) if catalogue is not None else None
                    findings = compare(device, unit, steps.found, fails or "unknown")
                    when = {"utc": clock.utc().isoformat(timespec="seconds")}
                    keep(record(device, steps.found, findings, about | when))
    finally:
        for link in links.values():
            await link.aclose()


def _keep(document: dict[str, Any], out: Path) -> None:
    """Write both forms beside each other; a record is never overwritten."""
    stamp = str(document["utc"])[:19].replace(":", "").replace("-", "")
    text = as_text(document)
    for suffix, content in ((".json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"), (".txt", text)):
        path = out / f"commission_{document['device']}_{stamp}{suffix}"
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    click.echo(text)
