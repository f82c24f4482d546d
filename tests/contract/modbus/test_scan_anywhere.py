"""``gridedge scan`` and ``gridedge curves`` reach whatever a device of a site file can be reached by."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hostile_peer import Ask, Behaviour, Peer, Step, on_line, on_socket
from modbus_certificates import Authority
from test_scan_contract import ABB, INVERTER, device, placed

from drivers.modbus.codec import crc16
from drivers.scan.command import scan
from drivers.sunspec.curves_command import curves

pytestmark = pytest.mark.socket

SUNSPEC = placed((40000, [0x5375, 0x6E53, *struct.unpack(f">{len(INVERTER.get_mb()) // 2}H", INVERTER.get_mb())]))
SUNSPEC |= placed((40000 + len(SUNSPEC), [0xFFFF, 0]))
WAYS = ("tcp", "tls", "rtu+tcp", "rtu")
QUICK = ("--timeout-s", "0.25", "--pause-ms", "0", "--within-s", "30")


def serving(image: dict[int, int]) -> Behaviour:
    """Unit 1 reads from ``image``; every other unit is silent."""
    behave = device(image)

    def answer(ask: Ask) -> Sequence[Step]:
        if ask.unit != 1:
            return ()
        frame = struct.pack(">HHHB", 1, 0, len(ask.pdu) + 1, 1) + ask.pdu
        return tuple(ask.framed(step[7:]) if isinstance(step, bytes) else step for step in behave(frame))

    return answer


@asynccontextmanager
async def gateway(behave: Behaviour) -> AsyncIterator[Peer]:
    """A serial gateway that passes RTU frames on as they are."""
    peer = Peer([behave] * 5000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await reader.read(300):
            body = frame[:-2]
            assert crc16(body).to_bytes(2, "little") == frame[-2:]
            for step in peer.steps(Ask(True, 0, body[0], body[1:])):
                if isinstance(step, bytes):
                    writer.write(step)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer.endpoint = f"rtu+tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        listener.close()


@asynccontextmanager
async def reached(way: str, image: dict[int, int], authority: Authority) -> AsyncIterator[list[str]]:
    """The arguments with which a tool reaches a device that is served ``way``."""
    behave = serving(image)
    if way == "rtu+tcp":
        async with gateway(behave) as peer:
            yield [peer.endpoint]
        return
    context = authority.server_context("device") if way == "tls" else None
    async with on_line([behave] * 5000) if way == "rtu" else on_socket([behave] * 5000, context) as peer:
        files = authority.options() if way == "tls" else {}
        yield [peer.endpoint, *(part for key, value in files.items() for part in (f"--{key.replace('_', '-')}", value))]


async def told(command: object, *arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("scan"))


@pytest.mark.parametrize("way", WAYS)
async def test_a_meter_is_found_wherever_it_is_and_its_line_for_the_site_file_leads_there(
    way: str, authority: Authority
) -> None:
    async with reached(way, ABB, authority) as address:
        said = await told(scan, *address, "--unit", "1,2", *QUICK)
    assert said.exit_code == 0, said.output
    assert "fits abb_b23" in said.output
    line = next(line for line in said.output.splitlines() if line.startswith("  - {"))
    assert address[0].partition("?")[0] in line
    assert ("options: {ca_file: " in line) is (way == "tls")
    assert ", unit 2" not in said.output


@pytest.mark.parametrize("way", WAYS)
async def test_the_curves_of_an_inverter_are_shown_wherever_it_is(way: str, authority: Authority) -> None:
    async with reached(way, SUNSPEC, authority) as address:
        said = await told(curves, *address)
    assert said.exit_code == 0, said.output
    assert any(line.startswith("705 ") for line in said.output.splitlines())


async def test_a_unit_that_is_late_on_a_line_is_not_taken_for_the_next_one() -> None:
    """Units 1 and 2 answer half a time-out too late: what comes is of whom it names."""

    def late(ask: Ask) -> Sequence[Step]:
        return (0.4, *serving(ABB)(ask)) if ask.unit == 1 else serving(ABB)(Ask(True, 0, 9, ask.pdu))

    async with on_line([late] * 500) as peer:
        said = await told(scan, peer.endpoint, "--unit", "1-3", *QUICK)
    assert said.exit_code == 1, said.output
    assert "no unit of those asked answers; check baud, parity" in said.output


async def test_what_cannot_be_reached_is_said_with_its_reason(authority: Authority, tmp_path: Path) -> None:
    said = await told(scan, f"rtu://{tmp_path}/ttyUSB7", *QUICK)
    assert said.exit_code == 1
    assert "No such file" in said.output
    said = await told(scan, "modbus+tls://127.0.0.1:9")
    assert said.exit_code == 2
    assert "expected --certificate-file" in said.output
    said = await told(scan, "127.0.0.1", "--ca-file", authority.ca_file)
    assert said.exit_code == 2
    assert "expected a modbus+tls://" in said.output
    said = await told(scan, "rtu:///dev/ttyUSB0?baud=9601")
    assert said.exit_code == 2
    assert "baud of 1200, 2400" in " ".join(said.output.split())
    impostor = Authority(tmp_path, "impostor")
    async with on_socket([], impostor.server_context("device")) as peer:
        files = [part for key, value in authority.options().items() for part in (f"--{key.replace('_', '-')}", value)]
        said = await told(scan, peer.endpoint, *files, *QUICK)
    assert said.exit_code == 1
    assert "its certificate is refused" in said.output
