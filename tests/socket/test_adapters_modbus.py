"""Simulated devices on Modbus TCP, seen by clients that somebody else wrote."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import AsyncIterator

import pytest
from adapters_kit import TableDevice
from free_ports import free_port
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from drivers.profile import FailBehaviour, PointSpec, Profile, ReadRules
from drivers.profile_loader import load_profile
from simulators.adapters.encoding import decode
from simulators.adapters.modbus_server import ModbusServer

pytestmark = pytest.mark.socket

PROFILE = Profile(
    "t",
    "meter",
    "t",
    "modbus",
    "test",
    FailBehaviour.HOLDS_LAST,
    (
        PointSpec("p_w", "float32", "kW", "test", address=100, scale=1000.0),
        PointSpec("u_v", "float32", "V", "test", address=102),
        PointSpec("limit_w", "uint32", "W", "test", address=110, access="rw"),
        PointSpec("enable", "uint16", "1", "test", address=112, access="rw"),
        PointSpec("far", "uint16", "1", "test", address=200, table="input"),
    ),
    read=ReadRules(registers_max=10, gap_max=2),
)


class World:
    """Two devices behind one port, and a foreign client."""

    def __init__(self) -> None:
        self.port = free_port()
        self.first = TableDevice(
            PROFILE, {"p_w": 12_500.0, "u_v": 400.0, "limit_w": 70_000.0, "enable": 0.0, "far": 9.0}
        )
        self.second = TableDevice(load_profile("carlo_gavazzi_em24"), {"p_w": -1234.5})
        self.server = ModbusServer([("127.0.0.1", self.port, 1, self.first), ("127.0.0.1", self.port, 2, self.second)])
        self.client = AsyncModbusTcpClient("127.0.0.1", port=self.port, timeout=0.3, retries=0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    built = World()
    await built.server.start()
    assert await built.client.connect()
    yield built
    built.client.close()
    await built.server.stop()


async def test_a_foreign_client_reads_what_the_device_says_at_that_moment(world: World) -> None:
    for p_w, words in ((12_500.0, [0x4148, 0]), (math.nan, [0x7FC0, 0])):
        world.first.table["p_w"] = p_w
        answer = await world.client.read_holding_registers(100, count=4, device_id=1)
        assert answer.registers == [*words, 0x43C8, 0]


async def test_two_units_behind_one_port_are_two_devices(world: World) -> None:
    spec = world.second.profile.point("p_w")
    read = world.client.read_holding_registers if spec.table == "holding" else world.client.read_input_registers
    answer = await read(spec.address, count=2, device_id=2)
    assert decode(spec, answer.registers) == pytest.approx(-1234.5, abs=0.05)
    assert (await world.client.read_holding_registers(100, count=2, device_id=3)).exception_code == 11


@pytest.mark.parametrize(
    ("table", "address", "count", "code"),
    [
        ("holding", 99, 1, 2),
        ("holding", 103, 2, 2),  # the gap of six registers must not be bridged
        ("holding", 9_000, 1, 2),
        ("input", 100, 2, 2),
        ("holding", 200, 1, 2),
        ("input", 200, 1, None),
    ],
)
async def test_only_registers_of_the_profile_exist(
    world: World, table: str, address: int, count: int, code: int | None
) -> None:
    read = world.client.read_holding_registers if table == "holding" else world.client.read_input_registers
    answer = await read(address, count=count, device_id=1)
    assert answer.isError() == (code is not None)
    assert code is None or answer.exception_code == code


async def test_writes_reach_the_device_in_si(world: World) -> None:
    assert not (await world.client.write_registers(110, [1, 2, 1], device_id=1)).isError()
    assert not (await world.client.write_register(112, 0, device_id=1)).isError()
    assert world.first.written == [("limit_w", 65_538.0), ("enable", 1.0), ("enable", 0.0)]


async def test_a_write_that_the_device_refuses_is_exception_3(world: World) -> None:
    world.first.refuses = {"limit_w"}
    assert (await world.client.write_registers(110, [1, 2], device_id=1)).exception_code == 3
    assert (await world.client.write_register(110, 1, device_id=1)).exception_code == 3  # half a value
    assert (await world.client.write_registers(100, [1, 2], device_id=1)).exception_code == 2  # read-only
    assert world.first.written == []


async def test_coils_are_not_a_function_of_these_devices(world: World) -> None:
    assert (await world.client.read_coils(100, count=1, device_id=1)).exception_code == 1


async def test_a_silent_device_keeps_the_connection_and_answers_nothing(world: World) -> None:
    world.first.silent = True
    with pytest.raises(ModbusIOException):
        await world.client.write_register(112, 1, device_id=1)
    assert world.first.written == []
    assert world.client.connected
    assert not (await world.client.read_holding_registers(11, count=1, device_id=2)).isError()
    world.first.silent = False
    assert not (await world.client.read_holding_registers(100, count=2, device_id=1)).isError()


async def test_a_port_that_is_taken_is_named(world: World) -> None:
    with pytest.raises(OSError, match=str(world.port)):
        await ModbusServer([("127.0.0.1", world.port, 1, world.first)]).start()


def test_two_devices_at_one_unit_address_are_refused() -> None:
    device = TableDevice(PROFILE, {})
    with pytest.raises(ValueError, match="unit address 4"):
        ModbusServer([("127.0.0.1", 1502, 4, device), ("127.0.0.1", 1502, 4, device)])


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll, a Modbus client in C, is not installed")
async def test_a_client_in_another_language_reads_the_same(world: World) -> None:
    command = f"mbpoll -1 -0 -q -B -m tcp -a 1 -t 4:float -r 100 -c 2 -p {world.port} 127.0.0.1"
    process = await asyncio.create_subprocess_exec(*command.split(), stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 5.0)
    assert process.returncode == 0
    shown = dict(line.split(":") for line in output.decode().splitlines() if line.startswith("["))
    assert [float(value) for value in shown.values()] == [12.5, 400.0]
