"""What ``gridedge scan`` finds, does not do, and survives."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files

import click
import pytest
from hostile_modbus_server import Behaviour, HostileServer, Step, hostile, mbap
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin
from sunspec2.device import Device as SunSpecModels

from drivers.scan.command import ScanOptions, look, parse_units
from drivers.scan.findings import Findings
from drivers.scan.identification import parse_identification, plain
from drivers.scan.match import sunspec_profile
from drivers.scan.report import as_json, as_text
from drivers.sunspec.chain import standard_chain

pytestmark = pytest.mark.socket

EXAMPLE = json.loads((files("sunspec2") / "tests" / "test_data" / "device_1547.json").read_text("utf-8"))


def words(value: float, kind: str, order: str = "big") -> list[int]:
    return ModbusClientMixin.convert_to_registers(value, ModbusClientMixin.DATATYPE[kind], word_order=order)


def placed(*parts: tuple[int, list[int]]) -> dict[int, int]:
    return {start + k: word for start, found in parts for k, word in enumerate(found)}


ABB = placed(
    (0x8900, words(1234567, "UINT32")),
    (0x8960, words(0x42323320, "UINT32")),
    (0x5B00, words(2310, "UINT32")),
    (0x5B02, words(2320, "UINT32")),
    (0x5B04, words(2330, "UINT32")),
    (0x5B14, words(-50000, "INT32")),
    (0x5B2C, [5000]),
)
INVERTER = SunSpecModels()
INVERTER._set_dict(EXAMPLE)


def device(image: dict[int, int], identification: bytes | None = None) -> Behaviour:
    """A unit that reads from ``image`` and refuses what is not there; function 43 only with ``identification``."""

    def behave(frame: bytes) -> Sequence[Step]:
        transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
        if unit != 1:
            return (mbap(transaction, unit, bytes((frame[7] | 0x80, 11))),)
        if frame[7] == 0x2B:
            return (mbap(transaction, unit, identification or bytes((0xAB, 1))),)
        function, address, count = struct.unpack_from(">BHH", frame, 7)
        wanted = range(address, address + count)
        if not any(register in image for register in wanted):
            return (mbap(transaction, unit, bytes((function | 0x80, 2))),)
        data = struct.pack(f">{count}H", *(image.get(register, 0) for register in wanted))
        return (mbap(transaction, unit, bytes((function, 2 * count)) + data),)

    return behave


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[HostileServer]:
    async with hostile(*[behave] * 3000) as server:
        yield server


async def scanned(server: HostileServer, units: tuple[int, ...] = (1,), within_s: float = 20.0) -> Findings:
    return await look("127.0.0.1", server.port, ScanOptions(units, 0.1, 0.0, within_s))


CHAIN_WITHOUT_END = {40000: 0x5375, 40001: 0x6E53} | dict.fromkeys(range(40002, 41000), 1)


def answer_43(*texts: tuple[int, bytes], more: int = 0, next_id: int = 0) -> bytes:
    body = b"".join(bytes((number, len(text))) + text for number, text in texts)
    return bytes((0x2B, 0x0E, 0x01, 0x01, more, next_id, len(texts))) + body


async def test_a_meter_is_known_by_its_model_code_and_says_its_name() -> None:
    ident = answer_43((0, b"ABB"), (1, b"B23 112"), (2, b"1.0"))
    async with serving(device(ABB, ident)) as server:
        found = await scanned(server)
    (unit,) = found.units[server.port]
    assert unit.texts == {"vendor": "ABB", "product_code": "B23 112", "revision": "1.0", "serial": "1234567"}
    assert unit.matches[0].profile == "abb_b23"
    assert "model_code reads" in unit.matches[0].why
    (block,) = as_json(found)["devices"]
    assert f'endpoint: "127.0.0.1:{server.port}", unit_address: 1, profile: abb_b23, ' in block
    assert ', serial_number: "1234567", feeds' in block
    assert block in as_text(found)
    json.dumps(as_json(found))


async def test_a_sunspec_device_is_listed_with_all_its_models_and_its_maker() -> None:
    image = bytes(b"SunS" + INVERTER.get_mb() + b"\xff\xff\0\0")
    registers = dict(enumerate(struct.unpack(f">{len(image) // 2}H", image), 40000))
    async with serving(device(registers)) as server:
        found = await scanned(server)
    (unit,) = found.units[server.port]
    assert unit.sunspec_base == 40000
    assert [model_id for model_id, _, _ in unit.models] == [item["ID"] for item in EXAMPLE["models"][:-1]]
    assert unit.texts["vendor"] == "SunSpecTest"
    assert unit.matches[0].profile == "sunspec_battery"
    volt_var, volt_watt = unit.curves[:2]
    assert volt_var.corners == ((92.0, 30.0), (96.7, 0.0), (103.0, 0.0), (107.0, -30.0))
    assert (volt_watt.enabled, volt_watt.corners) == (False, ((106.0, 100.0), (110.0, 0.0)))
    assert "curve 705 in force: (92, 30) (96.7, 0) (103, 0) (107, -30)" in as_text(found)


async def test_only_reads_and_identification_ever_leave() -> None:
    async with serving(device(ABB)) as server:
        await scanned(server, (1, 2, 3))
        assert {frame[7] for frame in server.frames} <= {0x03, 0x04, 0x2B}
        assert server.used_at_once_max == 1


async def test_units_behind_a_gateway_that_names_them_absent_are_not_found() -> None:
    async with serving(device(ABB)) as server:
        found = await scanned(server, (1, 2, 3))
    assert [unit.address for unit in found.units[server.port]] == [1]


async def test_a_scan_of_silent_units_ends_in_time_and_says_what_is_left() -> None:
    async with serving(lambda _: ()) as server:
        started = time.monotonic()
        found = await scanned(server, tuple(range(1, 248)), within_s=1.0)
        assert time.monotonic() - started < 4.0
    assert found.empty
    assert any("time is up; not finished: units" in remark for remark in found.remarks)


async def test_a_unit_that_answers_too_slowly_to_be_finished_is_not_said_to_be_nobody() -> None:
    async with serving(lambda frame: (0.05, *device(CHAIN_WITHOUT_END)(frame))) as server:
        started = time.monotonic()
        found = await scanned(server, within_s=1.0)
        assert time.monotonic() - started < 4.0
    assert [remark for remark in found.remarks if "answers" in remark] == []
    assert "time is up; not finished: unit 1 " in as_text(found)


@pytest.mark.parametrize("number", [0, 1, 0xFFFF])
async def test_a_device_that_reads_the_same_everywhere_is_no_device_of_anybody(number: int) -> None:
    async with serving(device(dict.fromkeys(range(65536), number))) as server:
        found = await scanned(server)
    (unit,) = found.units[server.port]
    identities = [match for match in unit.matches if "reads" in match.why and match.score >= 10]
    assert identities == [], "an identity of 0 or 1 says nothing"


def test_two_models_of_one_kind_are_not_proposed_as_one() -> None:
    assert sunspec_profile(standard_chain((1, 103))) == "sunspec_inverter"
    assert sunspec_profile(standard_chain((1, 103, 103))) is None


@pytest.mark.parametrize(
    "behave",
    [
        lambda _: (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",),
        lambda _: tuple(step for _ in range(40) for step in (b"\0", 0.02)),
        lambda frame: (frame,),
        lambda _: (bytes(65536),) * 20,
        lambda _: (b"HTTP/1.1 400 Bad Request\r\n\r\n", "fin"),
        lambda _: ("rst",),
        lambda _: (mbap(0x7777, 1, bytes((0xAB, 1))),),
        lambda _: (struct.pack(">HHHB", 1, 0, 65535, 1) + bytes(400),),
        lambda frame: (frame[:7] + b"\x2b" + bytes(200),),
    ],
)
async def test_what_does_not_speak_modbus_is_survived_and_not_taken_for_a_device(behave: Behaviour) -> None:
    async with serving(behave) as server:
        found = await scanned(server, within_s=3.0)
    assert found.empty
    assert as_text(found)


async def test_nobody_there_is_said_and_not_raised() -> None:
    async with hostile() as server:
        port = server.port
    found = await look("127.0.0.1", port, ScanOptions((1,), 0.1, 0.0, 3.0))
    assert found.empty
    assert "nothing answers" in as_text(found)


@given(st.binary(max_size=253))
def test_no_bytes_make_the_identification_fail_otherwise_than_by_saying_no(noise: bytes) -> None:
    found = parse_identification(b"\x2b\x0e" + noise)
    assert found is None or all(text.isprintable() for text in found.texts.values())


def test_a_device_name_cannot_steer_a_terminal_or_a_yaml_file() -> None:
    assert plain(b'\x1b[2J"x: {y}\n\xff') == "?[2J?x: {y}??"


@pytest.mark.parametrize(("text", "units"), [("1", (1,)), ("1,3,5-7", (1, 3, 5, 6, 7)), ("2,1-3", (2, 1, 3))])
def test_unit_ids_are_written_as_people_write_them(text: str, units: tuple[int, ...]) -> None:
    assert parse_units(text) == units


@pytest.mark.parametrize("text", ["", "x", "5-3", "256", "1,,2", "1-999"])
def test_unit_ids_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected unit ids"):
        parse_units(text)
