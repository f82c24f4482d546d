"""``gridedge points``: what the field says now."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from controller.app import move_port, open_devices, open_tape, record_field_options
from controller.clock import SystemClock
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.site import Device
from controller.field.points_view import as_json, as_overview, as_tables, rows
from controller.field.watch import Watch
from controller.readable_errors import readable_errors
from controller.runtime.supervisor import stop_on_signals

REFRESH_S = 0.5
PAGE_WIDTH = 160


@click.command()
@click.argument("site")
@click.argument("devices", nargs=-1, metavar="[DEVICE]...")
@click.option("--once", is_flag=True, help="Ask every device, print, and end.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON: one object with --once, else one line per second.")
@click.option("--device", "wanted", multiple=True, metavar="ID", help="The same as DEVICE; may be repeated.")
@click.option("--port-offset", type=int, default=0, help="Add this to the TCP port of every device.")
@record_field_options
def points(
    site: str,
    devices: tuple[str, ...],
    *,
    once: bool,
    as_lines: bool,
    wanted: tuple[str, ...],
    port_offset: int,
    record_field: Path | None,
    record_field_mb: int,
) -> None:
    """Show every point of SITE (or of some DEVICEs) live: value, quality and why, age, raw registers, counters.

    Reads only, never writes. A terminal that does not hold all points gets a line for each device.

    Opens the same drivers as the controller. Many devices take one connection only: stop the controller first, or
    expect one of the two to be refused. With --once a device that says nothing good is asked again for three of its
    time-outs (3 s at least), and the exit status is 1 when it still has nothing good to say.
    """
    with readable_errors():
        shown = chosen(load_site(find_site(site)).devices, (*devices, *wanted))
        moved = tuple(replace(device, endpoint=move_port(device.endpoint, port_offset)) for device in shown)
        clock = SystemClock()
        tape = open_tape(record_field, clock, record_field_mb)
        watch = Watch(moved, open_devices(moved, clock, tape), clock)
    with closing(tape) if tape is not None else nullcontext():
        if once:
            sys.exit(asyncio.run(_once(watch, clock, as_lines)))
        asyncio.run(_live(watch, clock, as_lines))


def chosen(devices: tuple[Device, ...], wanted: tuple[str, ...]) -> tuple[Device, ...]:
    """The devices of these ids (all when none is given); ValueError names the first that does not exist."""
    known = {device.id: device for device in devices}
    for name in wanted:
        if name not in known:
            raise ValueError(f"device {name!r} is not in the site; expected one of {', '.join(known)}")
    return tuple(known[name] for name in wanted) or devices


async def _once(watch: Watch, clock: SystemClock, as_lines: bool) -> int:
    try:
        await watch.poll_once(patiently=True)
        found = watch.lines()
    finally:
        await watch.aclose()
    if as_lines:
        _print_json(as_json(found, clock.utc().isoformat(timespec="milliseconds")), indent=2)
    else:
        _console().print(as_tables(found))
    return 0 if all(lines.ok for lines in found) else 1


async def _live(watch: Watch, clock: SystemClock, as_lines: bool) -> None:
    stop = asyncio.Event()
    show = _stream(watch, clock) if as_lines else _screen(watch)
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work) for work in (watch.run(), show, stop.wait())]
    with stop_on_signals(stop):
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await watch.aclose()
    for task in done:
        task.result()


async def _stream(watch: Watch, clock: SystemClock) -> None:
    while True:
        await asyncio.sleep(1.0)
        _print_json(as_json(watch.lines(), clock.utc().isoformat(timespec="milliseconds")))


async def _screen(watch: Watch) -> None:
    console = _console()
    with Live(console=console, screen=False, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(REFRESH_S)
            found = watch.lines()
            show = as_tables if rows(found) <= console.height or len(found) == 1 else as_overview
            live.update(show(found), refresh=True)


def _console() -> Console:
    """The terminal, or a page that is wide enough for a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, PAGE_WIDTH))


def _print_json(document: dict[str, Any], indent: int | None = None) -> None:
    click.echo(json.dumps(document, indent=indent, ensure_ascii=False))
