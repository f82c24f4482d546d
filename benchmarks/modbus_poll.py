"""CPU time of one Modbus poll, our driver against pymodbus' client, in one run against one server.

One poll is one request for 60 holding registers, decoded to 30 float32 values; ours also checks range and quality of
every value. "link" is the exchange alone, without decoding on either side. Server and client are separate processes;
only the client's CPU time counts.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import struct
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from pymodbus.client import AsyncModbusTcpClient

from controller.clock import SystemClock
from controller.domain.site import Device
from drivers.modbus.codec import read_registers
from drivers.modbus.device import ModbusDevice
from drivers.profile_loader import parse_profile

POINTS, POLLS, ROUNDS = 30, 1000, 5
VALUES = struct.pack(f">{POINTS}f", *range(POINTS))


class _Answering(asyncio.Protocol):
    """Answers every request with the same registers, as cheaply as Python can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        head = data[:2] + struct.pack(">HHBBB", 0, 3 + len(VALUES), data[6], 3, len(VALUES))
        self._transport.write(head + VALUES)  # type: ignore[attr-defined]


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def _cpu_us(poll: Callable[[], Awaitable[None]]) -> float:
    """CPU microseconds of this process per call."""
    started = time.process_time()
    for _ in range(POLLS):
        await poll()
    return (time.process_time() - started) / POLLS * 1e6


def _driver(port: int) -> ModbusDevice:
    lines = "\n".join(f"  x{n}: {{at: {2 * n}, low: -1000, high: 1000}}" for n in range(POINTS))
    head = "{id: bench, kind: meter, title: Bench, protocol: modbus, source: none}"
    text = "\n".join(part.strip() for part in head.strip("{}").split(",")) + "\n"
    text += 'defaults: {type: float32, unit: "1", ref: none}\npoints:\n' + lines
    device = Device("bench", "modbus", f"127.0.0.1:{port}", 1, "bench", {}, None, 1.0, 3.0, 2.0)
    return ModbusDevice(device, parse_profile(text, "bench"), SystemClock())


async def _compare(port: int) -> None:
    ours = _driver(port)
    theirs = AsyncModbusTcpClient("127.0.0.1", port=port)
    await theirs.connect()
    loop = asyncio.get_running_loop()
    request = read_registers(1, 3, 0, 2 * POINTS)

    async def poll_ours() -> None:
        points = await ours.poll()
        assert points["x29"].value == 29.0

    async def poll_theirs() -> None:
        answer = await theirs.read_holding_registers(0, count=2 * POINTS, device_id=1)
        values = theirs.convert_from_registers(answer.registers, theirs.DATATYPE.FLOAT32)
        assert values[29] == 29.0  # type: ignore[index]

    async def link_ours() -> None:
        await ours.session.request(request, loop.time() + 2.0)

    async def link_theirs() -> None:
        await theirs.read_holding_registers(0, count=2 * POINTS, device_id=1)

    for name, mine, other in (("poll", poll_ours, poll_theirs), ("link", link_ours, link_theirs)):
        pairs = [(await _cpu_us(mine), await _cpu_us(other)) for _ in range(ROUNDS)]
        own_us, other_us = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(second / first for first, second in pairs)
        print(f"{name}: ours {own_us:.0f} us, pymodbus {other_us:.0f} us of CPU; pymodbus / ours = {ratio:.2f}")
    await ours.aclose()
    theirs.close()


def main() -> None:
    """Run the comparison once and print it."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        asyncio.run(_compare(here.recv()))
    finally:
        server.kill()
        server.join()


if __name__ == "__main__":
    main()
