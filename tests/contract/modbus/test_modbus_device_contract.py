"""What the controller may rely on when it talks to a Modbus device, against our hostile server and pymodbus' own."""

from __future__ import annotations

import asyncio
import math
import random
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from hostile_modbus_server import Behaviour, HostileServer, hostile, mbap
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from controller.domain.site import Device
from controller.ports import FieldDevice
from drivers.modbus.codec import crc16
from drivers.modbus.device import ModbusDevice
from drivers.profile_loader import load_profile
from drivers.registry import catalogue, open_device

pytestmark = pytest.mark.socket

FLOAT32 = ModbusClientMixin.DATATYPE.FLOAT32


def device_of(endpoint: str, profile: str, *, protocol: str = "modbus", timeout_s: float = 0.25) -> Device:
    return Device("D1", protocol, endpoint, 1, profile, {}, None, poll_s=0.2, stale_s=1.0, timeout_s=timeout_s)


def opened(endpoint: str, profile: str) -> ModbusDevice:
    return ModbusDevice(device_of(endpoint, profile), load_profile(profile), SystemClock(), random.Random(3))


def serving(image: Mapping[int, int]) -> Behaviour:
    """Reads from a register image (0 where it says nothing); takes every write into it."""
    held = dict(image)

    def behave(frame: bytes) -> tuple[bytes]:
        transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
        function, address, count = struct.unpack_from(">BHH", frame, 7)
        if function == 16:
            words = struct.unpack_from(f">{count}H", frame, 13)
            held.update(zip(range(address, address + count), words, strict=True))
            return (mbap(transaction, unit, frame[7:12]),)
        words = tuple(held.get(register, 0) for register in range(address, address + count))
        return (mbap(transaction, unit, struct.pack(f">BB{count}H", function, 2 * count, *words)),)

    return behave


@asynccontextmanager
async def image_server(image: Mapping[int, int]) -> AsyncIterator[HostileServer]:
    behave = serving(image)
    async with hostile(*[behave] * 50) as server:
        yield server


SUNSPEC_DER = {
    **dict(zip((40000, 40001, 40002, 40070, 40225, 40277), (0x5375, 0x6E53, 1, 701, 702, 704), strict=True)),
    **dict(zip((40003, 40071, 40226, 40278, 40344), (66, 153, 50, 65, 0xFFFF), strict=True)),
    40074: 3,
    40080: 1500,
    40186: 2,
    40251: 2000,
    40270: 3,
    40331: 0xFFFE,
    40088: 5000,
    40185: 0xFFFE,
}


async def test_a_poll_names_every_point_of_the_catalogue_with_the_time_of_its_request() -> None:
    async with image_server(SUNSPEC_DER) as server:
        device = opened(server.endpoint, "sunspec_der")
        points = await device.poll()
        assert set(points) >= {spec.name for spec in load_profile("sunspec_der").points}
        assert points["p_w"].value == -150e3
        assert points["w_max_w"].value == 2e6
        assert all(point.measured_at_s <= point.received_at_s for point in points.values())
        assert points["p_w"].measured_at_s < points["p_w"].received_at_s
        assert (device.counters.ok, device.counters.failed) == (1, 0)
        await device.aclose()


async def test_a_written_cap_is_read_back_in_the_sign_of_the_house() -> None:
    async with image_server(SUNSPEC_DER) as server:
        device = opened(server.endpoint, "sunspec_der")
        assert "no limit active" in (await device.poll())["p_set_w"].reason
        outcome = await device.write({"generation_w_max": 500e3}, 30.0, {"generation_w_max": 0.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        assert (await device.poll())["p_set_w"].value == -500e3
        await device.aclose()


async def test_a_write_without_a_poll_before_reads_what_it_needs_first() -> None:
    async with image_server(SUNSPEC_DER) as server:
        device = opened(server.endpoint, "sunspec_der")
        outcome = await device.write({"generation_w_max": 500e3}, 30.0, {"generation_w_max": 0.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        assert [frame[7] for frame in server.frames][-1] == 16
        await device.aclose()


@pytest.mark.parametrize(
    ("values", "lease_s", "state"),
    [
        ({"generation_w_max": math.nan}, 30.0, OutcomeState.REFUSED),
        ({"generation_w_max": 1e6, "q_var": math.nan}, 30.0, OutcomeState.REFUSED),
        ({"generation_w_max": 1e6}, math.nan, OutcomeState.REFUSED),
        ({"generation_w_max": 1e6}, 0.5, OutcomeState.REFUSED),
        ({"consumption_w_max": 1e6}, 30.0, OutcomeState.UNSUPPORTED),
    ],
)
async def test_a_command_that_cannot_be_sent_whole_is_not_sent_at_all(
    values: dict[str, float], lease_s: float, state: OutcomeState
) -> None:
    async with image_server(SUNSPEC_DER) as server:
        device = opened(server.endpoint, "sunspec_der")
        await device.poll()
        outcome = await device.write(values, lease_s, {"generation_w_max": 0.0, "q_var": 0.0})
        assert outcome.state is state
        assert outcome.reason
        assert all(frame[7] == 3 for frame in server.frames), "no write has left"
        await device.aclose()


async def test_a_device_that_refuses_a_write_is_quoted() -> None:
    def refuse(frame: bytes) -> tuple[bytes]:
        return (mbap(struct.unpack_from(">H", frame)[0], 1, bytes((frame[7] | 0x80, 3))),)

    behave = serving({})
    async with hostile(behave, refuse) as server:
        device = opened(server.endpoint, "ev_hub")
        outcome = await device.write({"consumption_w_max": 1e4}, 30.0, {"consumption_w_max": 0.0})
        assert outcome.state is OutcomeState.REFUSED
        assert outcome.reason == "exception 3 illegal data value, after 1 accepted writes"
        await device.aclose()


async def test_a_silent_device_fails_a_write_in_time_and_only_once() -> None:
    async with hostile(lambda _: ()) as server:
        device = opened(server.endpoint, "ev_hub")
        started = time.monotonic()
        outcome = await device.write({"consumption_w_max": 1e4}, 30.0, {"consumption_w_max": 0.0})
        assert time.monotonic() - started < 0.5
        assert outcome.state is OutcomeState.FAILED
        assert "no answer within the time-out" in outcome.reason
        assert len(server.frames) == 1
        await device.aclose()


@pytest.mark.parametrize("first", [lambda _: (), lambda _: ("rst",), lambda _: (b"\0" * 40,)])
async def test_a_poll_never_raises_and_is_bounded_whatever_the_device_does(first: Behaviour) -> None:
    async with hostile(first) as server:
        device = opened(server.endpoint, "janitza_umg96")
        started = time.monotonic()
        points = await device.poll()
        assert time.monotonic() - started < 0.5
        assert set(points) == catalogue().points("janitza_umg96")
        assert all(point.quality is Quality.MISSING and point.reason for point in points.values())
        assert device.counters.failed == 1
        await device.aclose()


async def test_nobody_at_the_address_is_a_reason_and_no_exception() -> None:
    async with hostile() as server:
        endpoint = server.endpoint
    device = opened(endpoint, "ev_hub")
    assert "no connection to 127.0.0.1" in (await device.poll())["p_w"].reason
    assert (
        await device.write({"consumption_w_max": 1.0}, 9.0, {"consumption_w_max": 0.0})
    ).state is OutcomeState.FAILED
    await device.aclose()


async def test_one_refused_block_does_not_hide_the_others() -> None:
    def refuse(frame: bytes) -> tuple[bytes]:
        return (mbap(struct.unpack_from(">H", frame)[0], 1, bytes((frame[7] | 0x80, 2))),)

    behave = serving({1005: 0, 1006: 22000, 1000: 4})
    async with hostile(refuse, behave, behave, behave) as server:
        device = opened(server.endpoint, "ev_hub")
        points = await device.poll()
        assert points["p_w"].value == 22000.0
        assert points["fallback_w"].quality is Quality.MISSING
        assert points["fallback_w"].reason == "exception 2 illegal data address"
        await device.aclose()


async def test_another_device_at_the_address_is_neither_read_nor_written() -> None:
    async with image_server(SUNSPEC_DER | {40277: 705}) as server:
        device = opened(server.endpoint, "sunspec_der")
        points = await device.poll()
        assert all(point.quality is Quality.BAD for name, point in points.items())
        assert points["p_w"].reason == "identity: model_704_id reads 705; expected 704"
        await asyncio.sleep(0.15)
        outcome = await device.write({"generation_w_max": 1e6}, 30.0, {"generation_w_max": 0.0})
        assert outcome.state is OutcomeState.FAILED
        assert "identity" in outcome.reason
        assert all(frame[7] == 3 for frame in server.frames)
        await device.aclose()


async def test_the_identity_is_proved_again_on_every_new_connection() -> None:
    behave = serving(SUNSPEC_DER)
    changed = serving(SUNSPEC_DER | {40070: 103})
    async with hostile(*[behave] * 4, lambda _: ("rst",), *[changed] * 10) as server:
        device = opened(server.endpoint, "sunspec_der")
        assert (await device.poll())["p_w"].usable
        assert not (await device.poll())["p_w"].usable
        await asyncio.sleep(0.15)
        assert "model_701_id reads 103" in (await device.poll())["p_w"].reason
        await device.aclose()


@asynccontextmanager
async def pymodbus_server(address: int, words: list[int]) -> AsyncIterator[int]:
    """Somebody else's server with one block of registers."""
    data = [SimData(address, values=words, datatype=DataType.REGISTERS)]
    server = ModbusTcpServer([SimDevice(1, simdata=data)], address=("127.0.0.1", 0))
    await server.listen()
    assert server.transport is not None
    try:
        yield server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def floats(*values: float) -> list[int]:
    return [word for value in values for word in ModbusClientMixin.convert_to_registers(value, FLOAT32)]


async def test_a_meter_simulated_by_somebody_else_is_read() -> None:
    words = floats(*[0.0] * 80)
    for address, values in {0: (230.0, 231.0, 232.0, 10.0, 12.0, 11.0), 0x34: (-5000.0,), 0x3C: (800.0,)}.items():
        words[address : address + 2 * len(values)] = floats(*values)
    words[0x46:0x4C] = floats(50.02, 1.5, 2.5)
    async with pymodbus_server(0, words) as port:
        device: FieldDevice = open_device(device_of(f"127.0.0.1:{port}", "eastron_sdm630"), SystemClock())
        points = await device.poll()
        assert points["u_v"].value == pytest.approx(231.0 * math.sqrt(3.0))
        assert points["i_a"].value == 12.0
        assert points["p_w"].value == -5000.0
        assert points["q_var"].value == 800.0
        assert points["f_hz"].value == pytest.approx(50.02, abs=1e-5)
        assert points["energy_import_wh"].value == 1500.0
        await device.aclose()


async def test_rtu_inside_tcp_waits_out_a_late_answer_before_the_next_request() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x01\x04\x04\xff\xff\xff\xff\x00\x00")  # left over from an earlier master
        try:
            while True:
                frame = await reader.readexactly(8)
                seen.append(frame)
                count = struct.unpack_from(">H", frame, 4)[0]
                answer = frame[:2] + bytes((2 * count,)) + struct.pack(">f", 49.5) * (count // 2)
                writer.write(answer + crc16(answer).to_bytes(2, "little"))
        except asyncio.IncompleteReadError:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    device = opened(f"rtu+tcp://127.0.0.1:{port}", "eastron_sdm630")
    assert "kept quiet" in (await device.poll())["f_hz"].reason
    assert not seen
    await asyncio.sleep(0.3)
    assert (await device.poll())["f_hz"].value == 49.5
    assert seen
    await device.aclose()
    listener.close()
    await listener.wait_closed()


def test_a_device_whose_protocol_is_not_that_of_its_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="device D1: protocol is 'opcua'; expected 'modbus'"):
        open_device(device_of("127.0.0.1:502", "ev_hub", protocol="opcua"), SystemClock())


async def test_a_link_that_dies_between_two_blocks_keeps_what_was_read_and_says_why_the_rest_is_missing() -> None:
    behave = serving({1600: 0, 1601: 5000, 203: 0, 204: 1000})
    async with hostile(behave, lambda _: ("fin",)) as server:
        device = opened(server.endpoint, "ev_hub")
        points = await device.poll()
        assert points["fallback_w"].value == 1000.0
        assert points["limit_w"].quality is Quality.MISSING
        assert "the connection was lost" in points["p_w"].reason
        assert len(server.frames) == 2, "nothing more is asked of a lost device in this poll"
        assert (device.id, device.counters.ok, device.counters.failed) == ("D1", 0, 1)
        await device.aclose()
        await device.aclose()
