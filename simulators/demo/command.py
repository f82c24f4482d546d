"""``gridedge demo``: the real controller on a simulated day, with nothing to install or to set up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console

from controller.config.finding import SiteError
from simulators.clock_time import parse_clock
from simulators.demo.children import ChildDied
from simulators.demo.day import Day
from simulators.demo.ports import claimed_offset
from simulators.demo.report import report_of, write_report
from simulators.demo.screen import HourLines, LiveScreen, Snapshot, all_of
from simulators.demo.session import Look, Session, Stop, stop_on_signals
from simulators.demo.setting import Setting, setting_of
from simulators.demo.summary import summary
from simulators.demo.worth import worth
from simulators.scenario import ScenarioError

SCENARIOS = {"day": "a_day_in_the_life", "faults": "demo_primary"}
"""Site and scenario, one name for both, behind each word of ``--scenario``."""

Draw = Callable[[Day, Path], Path]


@dataclass(frozen=True, slots=True)
class Output:
    """Where the day is shown and what is left of it."""

    headless: bool
    report: Path | None
    snapshot: Path | None
    snapshot_at_s: float
    against: Path | None = None


@click.command()
@click.argument("site", required=False)
@click.option(
    "--scenario", type=click.Choice(sorted(SCENARIOS)), default="day", show_default=True,
    help="Without SITE: a day with a market, or one on which devices fail.",
)  # fmt: skip
@click.option(
    "--speed", type=click.FloatRange(0, 1e5, min_open=True), default=144.0, show_default=True,
    help="Site seconds per second; 144 is a day in ten minutes.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Which weather and demand.")
@click.option("--hours", type=click.FloatRange(0, 48, min_open=True), default=24.0, show_default=True, help="How long.")
@click.option("--start", help="Clock time to start at, HH:MM; left out: as the scenario has it.")
@click.option("--no-control", is_flag=True, help="Nobody in control: every unit does what it likes.")
@click.option(
    "--market", type=click.Choice(("uftp", "auctions")),
    help="Who buys: the station process from aggregators by UFTP, with OpenADR (left out: so, where the scenario has a "
    "market), or auctions inside the demo.",
)  # fmt: skip
@click.option("--no-market", is_flag=True, help="The same day, but nobody buys what belongs to others.")
@click.option("--compare/--no-compare", default=True, help="Also compute the same day without control (background).")
@click.option("--headless", is_flag=True, help="One line per hour instead of the screen.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for report.json and .png.")
@click.option(
    "--cycle-ms", type=click.FloatRange(1, 10_000), default=40.0, show_default=True,
    help="Shortest control cycle of this machine.",
)  # fmt: skip
@click.option(
    "--record", type=click.Path(path_type=Path),
    help="Record every cycle for `gridedge replay`: in this file if its name ends in .gz, else in this folder.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the station process's history, for `gridedge report`, `ledger` and `verify`.",
)  # fmt: skip
@click.option(
    "--against", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The report.json of the same day run otherwise: say what the difference is worth.",
)  # fmt: skip
@click.option("--snapshot", type=click.Path(path_type=Path, dir_okay=False), help="Write the screen to this SVG file.")
@click.option("--snapshot-at", default="12:40", show_default=True, help="Clock time of the snapshot, HH:MM.")
def demo(
    site: str | None,
    *,
    scenario: str,
    speed: float,
    seed: int,
    hours: float,
    start: str | None,
    no_control: bool,
    market: str | None,
    no_market: bool,
    compare: bool,
    headless: bool,
    report: Path | None,
    cycle_ms: float,
    record: Path | None,
    data: Path | None,
    against: Path | None,
    snapshot: Path | None,
    snapshot_at: str,
) -> None:
    """Watch the controller keep the limits of a substation through a simulated day.

    Without SITE, `--scenario day` shows a windy night, a commute and a sunny noon at a substation with an agreed
    export, where flexible demand is bought before anything is curtailed; `faults` shows a day on which devices fail.

    Starts the simulated substation and the controller as processes of their own, connected over Modbus TCP and OPC UA
    on this machine only, and ends both again. Exit status 0: the day is over; 130: Ctrl-C; 1: a process died.
    """
    console = Console()
    with _readable_errors():
        setting = setting_of(
            site or SCENARIOS[scenario], speed=speed, seed=seed, hours=hours, start=start, cycle_ms=cycle_ms,
            controlled=not no_control, compared=compare and not no_control, trades=not no_market, data=data,
            uftp=None if market is None else market == "uftp",
        )  # fmt: skip
        offset, taken, claim = claimed_offset(setting.site)
        at_s = (parse_clock(snapshot_at) - setting.start_s) % 86400.0
        setting = replace(setting, port_offset=offset, record=record)
    if taken:
        console.print(f"port {taken} is taken: every port of the site is moved by {offset}", highlight=False)
    output = Output(headless or not console.is_terminal, report, snapshot, at_s, against)
    with claim:
        sys.exit(asyncio.run(_run(setting, output, console)))


async def _run(setting: Setting, output: Output, console: Console) -> int:
    draw = _drawing(output, console)
    with _folder(output.report) as folder, stop_on_signals() as stop:
        try:
            session = await _live(setting, output, console, folder, stop)
        except ChildDied as death:
            console.print(f"[bold red]demo ended:[/] {death}", highlight=False, soft_wrap=True)
            return 1
        _finish(session, output, draw, console)
        return stop.status


async def _live(setting: Setting, output: Output, console: Console, folder: Path, stop: Stop) -> Session:
    """Show the day as it happens."""
    snapshot = None if output.snapshot is None else Snapshot(output.snapshot, output.snapshot_at_s)
    looks: list[Look] = [] if snapshot is None else [snapshot.look]
    with contextlib.ExitStack() as shown:
        if output.headless:
            looks.append(HourLines(console).look)
        else:
            looks.append(shown.enter_context(LiveScreen(console, stop.ask)).look)
        session = Session(setting, folder, all_of(looks))
        await session.run(stop)
    if snapshot is not None and not snapshot.taken:
        console.print(f"no {output.snapshot}: the day ended before the time of the snapshot", highlight=False)
    return session


def _finish(session: Session, output: Output, draw: Draw | None, console: Console) -> None:
    """Say and write what is left of the day; a closed terminal is no reason not to write."""
    day = session.day
    if not day.course.score:
        return
    report = report_of(day, completed=day.course.over, market=session.market())
    with contextlib.suppress(OSError):
        console.print(summary(report))
        if output.against is not None:
            console.print(worth(report, json.loads(output.against.read_text(encoding="utf-8"))), soft_wrap=True)
    if output.report is not None:
        written = [write_report(report, output.report)]
        if draw is not None and day.course.samples:
            written.append(draw(day, output.report / "report.png"))
        with contextlib.suppress(OSError):
            console.print(*(f"wrote {path}" for path in written), sep="\n", highlight=False, soft_wrap=True)


def _drawing(output: Output, console: Console) -> Draw | None:
    """What draws ``report.png``, loaded before the day begins; None when nobody asked or matplotlib is missing."""
    if output.report is None:
        return None
    try:
        from simulators.demo.plot import draw
    except ModuleNotFoundError as missing:
        if missing.name != "matplotlib":
            raise
        console.print("no report.png: matplotlib is missing; expected the extra 'report' to be installed")
        return None
    return draw


@contextlib.contextmanager
def _folder(report: Path | None) -> Iterator[Path]:
    """Where the children's logs go: beside the report, or nowhere that lasts."""
    if report is None:
        with tempfile.TemporaryDirectory(prefix="gridedge-demo-logs-") as folder:
            yield Path(folder)
    else:
        report.mkdir(parents=True, exist_ok=True)
        yield report


@contextlib.contextmanager
def _readable_errors() -> Iterator[None]:
    """What a person can put right is said in one line, with exit status 1."""
    try:
        yield
    except (SiteError, ScenarioError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
