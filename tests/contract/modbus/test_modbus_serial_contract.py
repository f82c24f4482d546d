"""A serial line with somebody else's devices on it, over pseudo terminals."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.clock import SystemClock
from controller.domain.site import Device
from drivers.modbus.codec import read_registers
from drivers.modbus.connect import Connector
from drivers.modbus.device import ModbusDevice
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.lines import Lines
from drivers.modbus.link import LinkError
from drivers.modbus.session import Session
from drivers.profile_loader import load_profile

pytestmark = pytest.mark.socket

TIMEOUT_S = 0.25


class Cable:
    """Two pseudo terminals, joined: what goes in at one end comes out at the other, until it is cut."""

    def __init__(self) -> None:
        self.whole = True
        self._pairs = [pty.openpty() for _ in range(2)]
        loop = asyncio.get_running_loop()
        for master, slave in self._pairs:
            tty.setraw(slave)
            os.set_blocking(master, False)
        (left, _), (right, _) = self._pairs
        loop.add_reader(left, self._pass_on, left, right)
        loop.add_reader(right, self._pass_on, right, left)
        self.ends = [os.ttyname(slave) for _, slave in self._pairs]

    def _pass_on(self, source: int, sink: int) -> None:
        with suppress(BlockingIOError, OSError):
            data = os.read(source, 4096)
            if self.whole:
                os.write(sink, data)

    def close(self) -> None:
        for master, slave in self._pairs:
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            os.close(slave)


@asynccontextmanager
async def bus(*units: int) -> AsyncIterator[tuple[Cable, str]]:
    """A bus with pymodbus' devices; every register of a device holds its unit id. Cable and our endpoint."""
    cable = Cable()
    devices = [
        SimDevice(unit, simdata=[SimData(0, values=[unit] * 2000, datatype=DataType.REGISTERS)]) for unit in units
    ]
    server = ModbusSerialServer(devices, framer=FramerType.RTU, port=cable.ends[0], baudrate=115200)
    await server.listen()
    try:
        yield cable, f"rtu://{cable.ends[1]}?baud=115200&parity=N"
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
        cable.close()


def on_bus(endpoint: str, units: tuple[int, ...]) -> dict[int, ModbusDevice]:
    clock, profile = SystemClock(), load_profile("ev_hub")
    lines = Lines(clock)
    return {
        unit: ModbusDevice(
            Device(f"D{unit}", "modbus", endpoint, unit, profile.id, {}, None, 0.2, 1.0, TIMEOUT_S),
            profile,
            clock,
            lines=lines,
        )
        for unit in units
    }


async def test_devices_of_somebody_else_on_one_bus_are_read_in_turn() -> None:
    async with bus(1, 2, 3) as (_, endpoint):
        devices = on_bus(endpoint, (1, 2, 3))
        await devices[1].poll()  # the line is listened to first: answers to an earlier process may still come
        await asyncio.sleep(TIMEOUT_S)
        for _ in range(3):
            readings = await asyncio.gather(*(device.poll() for device in devices.values()))
            assert [reading["p_w"].value for reading in readings] == [unit * 65537.0 for unit in devices]
        assert devices[1].session.counters.connects == 1
        for device in devices.values():
            await device.aclose()


async def test_a_device_that_is_not_on_the_bus_does_not_starve_those_that_are() -> None:
    async with bus(1, 2) as (_, endpoint):
        devices = on_bus(endpoint, (1, 2, 9))
        await devices[1].poll()
        await asyncio.sleep(TIMEOUT_S)
        good = dict.fromkeys(devices, 0)
        rounds = 15
        for _ in range(rounds):
            readings = await asyncio.gather(*(device.poll() for device in devices.values()))
            for unit, reading in zip(devices, readings, strict=True):
                good[unit] += reading["p_w"].usable
            await asyncio.sleep(0.02)
        assert good == {1: rounds, 2: rounds, 9: 0}
        for device in devices.values():
            await device.aclose()


async def test_a_cut_bus_is_noticed_and_read_again_when_it_is_whole() -> None:
    async with bus(1) as (cable, endpoint):
        device = on_bus(endpoint, (1,))[1]
        await device.poll()
        await asyncio.sleep(TIMEOUT_S)
        assert (await device.poll())["p_w"].usable
        cable.whole = False
        assert "time-out" in (await device.poll())["p_w"].reason
        cable.whole = True
        async with asyncio.timeout(2.0):
            while not (await device.poll())["p_w"].usable:  # noqa: ASYNC110 - a poll is what finds it
                await asyncio.sleep(0.02)
        await device.aclose()


async def test_a_port_is_used_by_one_connection_only() -> None:
    async with bus(1) as (_, endpoint):
        where = Endpoint.parse(endpoint)
        first = await Connector(where, 1.0).connect(asyncio.get_running_loop().time() + 1.0)
        with pytest.raises(LinkError, match="is used by another process"):
            await Connector(where, 1.0).connect(asyncio.get_running_loop().time() + 1.0)
        first.abort(LinkError("enough", "closed"))
        await first.closed


async def test_a_file_that_is_no_serial_line_and_one_that_is_not_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, said in (("file", "is no serial line"), ("nothing", "No such file")):
        session = Session(Endpoint.parse(f"rtu://{tmp_path}/{name}"), SystemClock().now_s)
        with pytest.raises(LinkError, match=said):
            await session.request(read_registers(1, 3, 0, 1), asyncio.get_running_loop().time() + 1.0)
        await session.aclose()


async def test_an_adapter_that_is_pulled_out_fails_the_pending_request_at_once() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    session = Session(Endpoint.parse(f"rtu://{os.ttyname(slave)}?parity=N"), SystemClock().now_s)
    loop = asyncio.get_running_loop()
    started = loop.time()
    loop.call_later(0.05, os.close, master)
    with pytest.raises(LinkError, match="the connection was lost"):
        await session.request(read_registers(1, 3, 0, 1), started + 5.0)
    assert loop.time() - started < 0.5
    os.close(slave)
    await session.aclose()


async def test_what_has_not_gone_out_of_a_request_that_was_given_up_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudo terminal sends at once: here it is seen in what the system is told, in which order."""
    told: list[str] = []
    monkeypatch.setattr(
        termios, "tcflush", lambda _port, queue: told.append({termios.TCOFLUSH: "forget"}.get(queue, ""))
    )
    close, cable = os.close, Cable()
    endpoint = Endpoint.parse(f"rtu://{cable.ends[0]}?baud=115200&parity=N")
    session = Session(endpoint, SystemClock().now_s)
    with pytest.raises(LinkError):
        await session.request(read_registers(1, 3, 0, 1), asyncio.get_running_loop().time() + 0.02)
    told.clear()
    monkeypatch.setattr(os, "close", lambda descriptor: (told.append("close"), close(descriptor))[1])
    await session.aclose()
    monkeypatch.setattr(os, "close", close)
    cable.close()
    assert told == ["forget", "close"]
