"""Composition root of the control process: the only place that names the concrete parts."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from controller.clock import SystemClock
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.reasons import dump_memory, restore_memory
from controller.control.state import ControlState, initial_state
from controller.domain.site import Device, Site
from controller.ports import Clock, FieldDevice
from controller.readable_errors import readable_errors
from controller.recording.recorder import Recorder
from controller.recording.writer import Policy, Writer
from controller.runtime.event_log import EventLog
from controller.runtime.event_loop import precise_loop
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.instruction_socket import InstructionSocket
from controller.runtime.log import logging_to
from controller.runtime.publish import Sink
from controller.runtime.realtime import come_first
from controller.runtime.record_socket import RecordSocket
from controller.runtime.state_file import StateFile
from controller.runtime.station import Station
from controller.runtime.stretch import stretch, stretch_factor
from controller.runtime.supervisor import stop_on_signals
from controller.shared_time import Follower, FollowingTime, time_page_option
from controller.shared_time import run as run_by
from drivers.registry import can_group, catalogue, make_group
from drivers.registry import open_devices as open_drivers
from drivers.tape.tape import Tape

_log = structlog.get_logger()

CYCLE_MS_MIN = 25.0
"""Shortest control cycle of the machine when the site runs faster than the world, ms."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a site is run, as the command line says it."""

    speed: float = 1.0
    record_socket: Path | None = None
    record: Path | None = None
    record_keep_mb: int = 2048
    port_offset: int = 0
    cycle_ms: float = CYCLE_MS_MIN
    json_logs: bool = False
    state: Path | None = None
    operate_socket: Path | None = None
    platform_socket: Path | None = None
    start_utc: datetime | None = None
    real_time: int | None = None


def record_field_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options with which a command records the field."""
    size = click.option(
        "--record-field-mb", type=click.IntRange(min=1), default=64, show_default=True,
        help="Size of that recording; the newest half is always kept.",
    )  # fmt: skip
    file = click.option(
        "--record-field", type=click.Path(path_type=Path, dir_okay=False),
        help="Record what goes over the field connections in this file, for `gridedge field-replay`.",
    )  # fmt: skip
    return file(size(command))


@click.command()
@click.argument("site")
@click.option("--speed", type=click.FloatRange(0.0, 1e5, min_open=True), default=1.0, help="Site seconds per second.")
@click.option("--record-socket", type=click.Path(path_type=Path), help="Publish every record on this Unix socket.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Record every cycle for `gridedge replay`: in this file if its name ends in .gz, else in this folder.",
)
@click.option(
    "--record-keep-mb",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    help="Size of the folder of recordings; the oldest go first.",
)
@click.option("--state", type=click.Path(path_type=Path), help="Keep in this file what must outlive a restart.")
@click.option(
    "--operate-socket",
    type=click.Path(path_type=Path),
    help="Take operators' instructions on this Unix socket (owner and group), see `gridedge operate`.",
)
@click.option(
    "--platform-socket",
    type=click.Path(path_type=Path),
    help="Take the platform's orders and the look-ahead's prices on this Unix socket, from `gridedge station "
    "--platform-socket`.",
)
@click.option("--port-offset", type=int, default=0, help="Add this to the TCP port of every device.")
@click.option(
    "--cycle-ms",
    type=click.FloatRange(1.0, 10_000.0),
    default=CYCLE_MS_MIN,
    show_default=True,
    help="Shortest control cycle of this machine; a faster --speed stretches the times of the site to keep it.",
)
@click.option(
    "--start-utc",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="Time of day (UTC) to begin with instead of this machine's, for a simulated day.",
)
@time_page_option
@click.option(
    "--real-time",
    type=click.IntRange(1, 99),
    help="Run under SCHED_FIFO with this priority and keep all memory in RAM; goes on without what the system refuses.",
)
@record_field_options
@click.option("--json-logs", is_flag=True, help="Log JSON lines instead of text.")
def run(
    site: str,
    *,
    speed: float,
    record_socket: Path | None,
    record: Path | None,
    record_keep_mb: int,
    state: Path | None,
    operate_socket: Path | None,
    platform_socket: Path | None,
    port_offset: int,
    cycle_ms: float,
    start_utc: datetime | None,
    real_time: int | None,
    record_field: Path | None,
    record_field_mb: int,
    time_page: Path | None,
    json_logs: bool,
) -> None:
    """Control SITE (a site file, or the name of one that comes with the package) until told to stop.

    Every unit is left at its fail-safe set point, by SIGINT or SIGTERM (exit status 0) as well as by a fault of the
    controller itself (exit status 1). Readers of --record-socket may come and go.
    """
    if start_utc is not None:
        start_utc = start_utc.replace(tzinfo=UTC)
    options = RunOptions(
        speed,
        record_socket,
        record,
        record_keep_mb,
        port_offset,
        cycle_ms,
        json_logs,
        state,
        operate_socket,
        platform_socket,
        start_utc,
        real_time,
    )
    with readable_errors():
        configured = load_site(find_site(site))
        prepared = prepare(configured, options)
        shared = None if time_page is None else FollowingTime(time_page, Follower.CONTROLLER)
        clock = SystemClock(speed, start_utc, shared)
        tape = open_tape(record_field, clock, record_field_mb)
        links = open_devices(prepared.devices, clock, tape)
    with logging_to(sys.stderr.buffer, clock, as_json=json_logs):
        factor = stretch_factor(configured, speed, cycle_ms)
        code = run_by(control(prepared, clock, links, options, factor, tape), shared, precise_loop)
    sys.exit(code)


def prepare(site: Site, options: RunOptions) -> Site:
    """The site as it is run: ports moved, times stretched to what the machine can keep up with."""
    moved = tuple(replace(device, endpoint=move_port(device.endpoint, options.port_offset)) for device in site.devices)
    return stretch(replace(site, devices=moved), options.speed, options.cycle_ms)


def move_port(endpoint: str, offset: int) -> str:
    """``endpoint`` with its TCP port moved by ``offset``; a serial line stays where it is.

    Raises ValueError when it names no port or the port would leave 1…65535.
    """
    if offset == 0 or endpoint.startswith("rtu://"):
        return endpoint
    found = re.search(r":(\d+)(?=/|$)", endpoint)
    if found is None:
        raise ValueError(f"endpoint {endpoint!r} names no port; expected one to add the port offset {offset} to")
    port = int(found[1]) + offset
    if not 1 <= port <= 65535:
        raise ValueError(f"endpoint {endpoint!r} with port offset {offset} is port {port}; expected 1…65535")
    return f"{endpoint[: found.start(1)]}{port}{endpoint[found.end(1) :]}"


def open_devices(devices: tuple[Device, ...], clock: Clock, tape: Tape | None = None) -> dict[str, FieldDevice]:
    """The driver of every device, by id; nothing is connected yet. ``tape`` records what goes over the connections."""
    return open_drivers(devices, clock, tape)


def open_tape(path: Path | None, clock: Clock, keep_mb: int) -> Tape | None:
    """A recording of the field at ``path``, if there is one; OSError when it cannot be written."""
    if path is None:
        return None
    return Tape(path, clock.now_s, bytes_max=keep_mb << 20, speed=clock.speed, utc=clock.utc())


def supported_commands(devices: tuple[Device, ...]) -> dict[str, frozenset[str]]:
    """Command names of every device's profile, by device id."""
    known = catalogue()
    return {device.id: frozenset(known.commands(device.profile) or ()) for device in devices}


async def control(
    site: Site,
    clock: Clock,
    links: dict[str, FieldDevice],
    options: RunOptions,
    stretched: float,
    tape: Tape | None = None,
) -> int:
    """Run the station until a signal or a death; the exit status."""
    stop = asyncio.Event()
    async with AsyncExitStack() as opened:
        if tape is not None:
            opened.callback(tape.close)
        with readable_errors():
            sinks = await _open_sinks(options, opened)
            recorder = _open_recorder(options, opened)
            state, file = _remembered(site, clock, options, opened)
            desk = await _open_desk(site, options, clock, opened, file)
            station = Station(
                site,
                clock,
                links,
                step=step if recorder is None else recorder.taping(step),
                state=state,
                keep=None if file is None else lambda now: file.put(dump_memory(now)),
                desk=desk,
                supported=supported_commands(site.devices),
                sinks=sinks,
                watched=[*([] if recorder is None else [recorder]), *([] if tape is None else [tape])],
                stretch=stretched,
                can_group=can_group,
                make_group=make_group,
            )
        if stretched > 1.0:
            _log.warning("station.stretched", factor=stretched, cycle_s=site.cycle.cycle_s, speed=options.speed)
        if options.real_time is not None:
            _come_first(options.real_time)
        with stop_on_signals(stop):
            return await station.run(stop)


def _come_first(priority: int) -> None:
    refused = come_first(priority)
    if refused:
        _log.warning("realtime.refused", refused=refused)
    else:
        _log.info("realtime.granted", priority=priority)


def _remembered(
    site: Site, clock: Clock, options: RunOptions, opened: AsyncExitStack
) -> tuple[ControlState, StateFile | None]:
    """The state to begin with, and where its memory is kept; cautious, and nowhere, without a state file."""
    state = initial_state(site)
    if options.state is None:
        return state, None
    file = StateFile(options.state, site.name, clock)
    opened.callback(file.close)
    memory, gap_s = file.read()
    state, events = restore_memory(state, memory, gap_s, clock.now_s())
    EventLog(clock).write(events)
    return state, file


async def _open_sinks(options: RunOptions, opened: AsyncExitStack) -> list[Sink]:
    sinks: list[Sink] = []
    if options.record_socket is not None:
        listener = RecordSocket(options.record_socket)
        opened.push_async_callback(listener.aclose)
        await listener.open()
        sinks.append(listener)
    return sinks


async def _open_desk(
    site: Site, options: RunOptions, clock: Clock, opened: AsyncExitStack, keeping: StateFile | None
) -> InstructionDesk:
    desk = InstructionDesk(keeping)
    listeners = []
    if options.operate_socket is not None:
        listeners.append(InstructionSocket(options.operate_socket, clock, desk))
    if options.platform_socket is not None:
        if not site.issuers:
            expected = "expected platform.kind openadr3, a market, planning, or national"
            raise ValueError(f"--platform-socket: site {site.name} has nobody who could speak there; {expected}")
        desks = {issuer.account: issuer.service for issuer in site.issuers}
        listeners.append(InstructionSocket(options.platform_socket, clock, desk, desks))
    for listener in listeners:
        opened.push_async_callback(listener.aclose)
        await listener.open()
    return desk


def _open_recorder(options: RunOptions, opened: AsyncExitStack) -> Recorder | None:
    if options.record is None:
        return None
    keep_bytes = options.record_keep_mb << 20
    policy = Policy(file_bytes_max=min(Policy().file_bytes_max, keep_bytes // 4), folder_bytes_max=keep_bytes)
    writer = Writer(options.record, policy)
    writer.prepare()
    recorder = Recorder(writer)
    opened.callback(recorder.close)
    return recorder
