"""Do sick devices slow healthy ones down? Round times of 100 healthy devices at 10 Hz, alone and beside 20 sick ones.

The sick are silent, answer garbage, flood, reset the connection, or send half a frame, four of each. A round is over
when every healthy device's values are decoded. Every device has an identity, which is read again within each minute
while the rounds go on. Three cases take turns of four seconds:

- alone: nobody speaks to the sick;
- polled elsewhere: another process polls the sick, so what this adds is the machine's part: the sick server's own work,
  its packets and its cache misses on the same two cores;
- beside: the same loop polls both; what this adds to "alone" is all that a sick device costs a healthy one.

"CPU" is the time of the measuring thread between tick and last value, which others on the machine hardly change.

    python benchmarks/modbus_sick.py            add --fifo for SCHED_FIFO, which gives the machine without others
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modbus_client import host, table

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from controller.runtime.event_loop import precise_loop
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import Fleet
from drivers.modbus.lines import Lines

HERE = Path(__file__).parent
HEALTHY, SICK, ROUNDS, PERIOD_S, PRIORITY = 100, 20, 40, 0.1, 40
CASES = ("alone", "polled elsewhere", "beside")
NOISE = random.Random(1).randbytes(200)
Lap = tuple[float, float]
"""Milliseconds from the scheduled tick to the last value, and CPU milliseconds of this thread meanwhile."""


async def misbehave(kind: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One sick device."""
    try:
        while await reader.read(260):
            if kind == 1:
                writer.write(NOISE)
            elif kind == 2:
                writer.write(NOISE * 500)
            elif kind == 3:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            elif kind == 4:
                writer.write(bytes((0, 1, 0)))
    except ConnectionError:
        return
    finally:
        writer.transport.abort()


async def serve_sick() -> None:
    """Five ports, one for each kind; prints them."""
    ports = []
    for kind in range(5):
        server = await asyncio.start_server(lambda r, w, kind=kind: misbehave(kind, r, w), "0.0.0.0", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


def devices(ports: list[int], count: int, lines: Lines, clock: SystemClock) -> list[ModbusDevice]:
    """``count`` devices, each at an address of its own, on the ports in turn."""
    profile = table("{x0: 0}")
    return [
        ModbusDevice(
            Device(
                f"{ports[0]}-{n}", "modbus", f"{host(n)}:{ports[n % len(ports)]}", 1, "bench", {}, None, 0.1, 0.3, 0.3
            ),
            profile,
            clock,
            lines=lines,
        )
        for n in range(count)
    ]


class Field:
    """Healthy and sick devices, polled together or without the sick."""

    def __init__(self, port: int, sick_ports: list[int]) -> None:
        self.clock = SystemClock()
        lines = Lines(self.clock)
        self.healthy = devices([port], HEALTHY, lines, self.clock)
        self.sick = devices(sick_ports, SICK, lines, self.clock)
        self.ids = {device.id for device in self.healthy}
        self.left = 0
        self.done = asyncio.Event()

    def take(self, readings: Mapping[str, Mapping[str, Measurement]]) -> None:
        """Count the healthy ones; a sick one must never look good."""
        for name, reading in readings.items():
            usable = reading["x29"].usable
            if usable != (name in self.ids):
                raise SystemExit(f"{name}: {reading['x29']}")
            self.left -= usable
        if self.left <= 0:
            self.done.set()

    async def rounds(self, with_sick: bool) -> list[Lap]:
        """One turn."""
        fleet = Fleet([*self.healthy, *self.sick] if with_sick else self.healthy, self.clock, self.take)
        loop = asyncio.get_running_loop()
        laps = []
        async with asyncio.TaskGroup() as group:
            due = loop.time()
            for _ in range(ROUNDS):
                due += PERIOD_S
                await asyncio.sleep(due - loop.time())
                began_ns = time.thread_time_ns()
                self.left = HEALTHY
                self.done.clear()
                fleet.tick(group)
                await self.done.wait()
                laps.append((1e3 * (loop.time() - due), (time.thread_time_ns() - began_ns) / 1e6))
        return laps


@contextmanager
def polled_elsewhere(sick_ports: list[int]) -> Iterator[None]:
    """Another process polls the sick meanwhile, at ordinary priority wherever it finds room."""
    command = ["taskset", "-c", "0,1", "chrt", "--other", "0", sys.executable, __file__, "poll-sick"]
    with subprocess.Popen([*command, *map(str, sick_ports)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            yield
        finally:
            other.kill()


async def poll_sick(ports: list[int]) -> None:
    """Nothing but the sick, for ever; prints a line when it begins."""
    clock = SystemClock()
    fleet = Fleet(devices(ports, SICK, Lines(clock), clock), clock, lambda _: None)
    print("polling", flush=True)
    async with asyncio.TaskGroup() as group:
        while True:
            fleet.tick(group)
            await asyncio.sleep(PERIOD_S)


async def measure(port: int, sick_ports: list[int], turns: int) -> None:
    """Print the three cases and how they compare."""
    field = Field(port, sick_ports)
    for device in field.healthy:
        await device.poll()
    gc.collect()
    gc.freeze()  # as the control process does
    laps: dict[str, list[Lap]] = {case: [] for case in CASES}
    for _ in range(turns):
        laps["alone"] += await field.rounds(with_sick=False)
        with polled_elsewhere(sick_ports):
            laps["polled elsewhere"] += await field.rounds(with_sick=False)
        laps["beside"] += await field.rounds(with_sick=True)
    compare(laps)
    for device in (*field.healthy, *field.sick):
        await device.aclose()


def compare(laps: Mapping[str, list[Lap]]) -> None:
    """One line for each case; changes are against the first."""
    first: list[float] = []
    for case, found in laps.items():
        cuts = [statistics.quantiles(column, n=100) for column in zip(*found, strict=True)]
        marks = [cuts[kind][at] for kind in (0, 1) for at in (49, 89, 98)]
        first = first or marks
        told = [f"{mark:.2f} ({100.0 * (mark / base - 1.0):+.0f} %)" for mark, base in zip(marks, first, strict=True)]
        print(
            f"{HEALTHY} healthy, {case:17s} round p50 {told[0]} p90 {told[1]} p99 {told[2]} ms; "
            f"CPU p50 {told[3]} p90 {told[4]} p99 {told[5]} ms"
        )


def main() -> None:
    """Build the healthy server, start both, measure."""
    if sys.argv[1:2] == ["sick"]:
        asyncio.run(serve_sick())
        return
    if sys.argv[1:2] == ["poll-sick"]:
        asyncio.run(poll_sick([int(text) for text in sys.argv[2:]]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fifo", action="store_true", help="SCHED_FIFO for the healthy server and for the measurement")
    parser.add_argument("--turns", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        epoll = str(Path(folder) / "modbus_epoll")
        subprocess.run(["gcc", "-O2", "-o", epoll, str(HERE / "modbus_epoll.c")], check=True)
        fifo = ["taskset", "-c", "0", "chrt", "--fifo", str(PRIORITY)] if options.fifo else []
        well = subprocess.Popen([*fifo, epoll, "server", "0"], stdout=subprocess.PIPE, text=True)
        sick = subprocess.Popen([sys.executable, __file__, "sick"], stdout=subprocess.PIPE, text=True)
        try:
            assert well.stdout is not None
            assert sick.stdout is not None
            port, sick_ports = int(well.stdout.readline()), [int(text) for text in sick.stdout.readline().split()]
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            if options.fifo:
                os.sched_setaffinity(0, {1})
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
            with asyncio.Runner(loop_factory=precise_loop) as runner:
                runner.run(measure(port, sick_ports, options.turns))
        finally:
            well.kill()
            sick.kill()


if __name__ == "__main__":
    main()
