"""Do sick devices slow healthy ones down? Round times of 100 healthy devices at 10 Hz, alone and beside 20 sick ones.

The sick are silent, answer garbage, flood, reset the connection, or send half a frame, four of each. The two cases take
turns in one process; a round is over when every healthy device's values are decoded.

    python benchmarks/modbus_sick.py            add --fifo for SCHED_FIFO, which gives the machine without others
"""

from __future__ import annotations

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
from collections.abc import Mapping
from pathlib import Path

from modbus_client import host, table

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import Fleet
from drivers.modbus.lines import Lines

HERE = Path(__file__).parent
HEALTHY, SICK, ROUNDS, TURNS, PERIOD_S = 100, 20, 60, 5, 0.1
NOISE = random.Random(1).randbytes(200)


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
    profile = table()
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

    async def rounds(self, with_sick: bool) -> list[float]:
        """Milliseconds of every round."""
        fleet = Fleet([*self.healthy, *self.sick] if with_sick else self.healthy, self.clock, self.take)
        loop = asyncio.get_running_loop()
        laps = []
        async with asyncio.TaskGroup() as group:
            due = loop.time()
            for _ in range(ROUNDS):
                due += PERIOD_S
                await asyncio.sleep(due - loop.time())
                self.left = HEALTHY
                self.done.clear()
                fleet.tick(group)
                await self.done.wait()
                laps.append(1e3 * (loop.time() - due))
        return laps


async def measure(port: int, sick_ports: list[int]) -> None:
    """Print both cases and how they compare."""
    field = Field(port, sick_ports)
    for device in field.healthy:
        await device.poll()
    gc.collect()
    gc.freeze()  # as the control process does
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(TURNS):
        alone += await field.rounds(with_sick=False)
        beside += await field.rounds(with_sick=True)
    for name, laps in (("alone", alone), ("beside the sick", beside)):
        cuts = statistics.quantiles(laps, n=100)
        print(f"{HEALTHY} healthy devices {name}: round p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms")
    change = statistics.quantiles(beside, n=100)[98] / statistics.quantiles(alone, n=100)[98] - 1.0
    print(f"p99 changes by {100.0 * change:+.0f} %")
    for device in (*field.healthy, *field.sick):
        await device.aclose()


def main() -> None:
    """Build the healthy server, start both, measure."""
    if sys.argv[1:2] == ["sick"]:
        asyncio.run(serve_sick())
        return
    real_time = "--fifo" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        epoll = str(Path(folder) / "modbus_epoll")
        subprocess.run(["gcc", "-O2", "-o", epoll, str(HERE / "modbus_epoll.c")], check=True)
        fifo = ["taskset", "-c", "0", "chrt", "--fifo", "20"] if real_time else []
        well = subprocess.Popen([*fifo, epoll, "server", "0"], stdout=subprocess.PIPE, text=True)
        sick = subprocess.Popen([sys.executable, __file__, "sick"], stdout=subprocess.PIPE, text=True)
        try:
            assert well.stdout is not None
            assert sick.stdout is not None
            port, sick_ports = int(well.stdout.readline()), [int(text) for text in sick.stdout.readline().split()]
            if real_time:
                os.sched_setaffinity(0, {1})
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
            asyncio.run(measure(port, sick_ports))
        finally:
            well.kill()
            sick.kill()


if __name__ == "__main__":
    main()
