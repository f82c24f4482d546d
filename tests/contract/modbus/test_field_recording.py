"""What a technician may rely on when the field is recorded: every byte, never in the way, and told again exactly."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from hostile_modbus_server import hostile, mbap
from hostile_peer import Ask, Behaviour, on_line
from hostile_table import ROWS
from test_modbus_device_contract import SUNSPEC_DER, device_of, serving
from test_modbus_hostile_rows import peer_on

from controller.clock import ManualClock, SystemClock
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from drivers.modbus.codec import ExceptionAnswer, read_registers
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.lines import Lines
from drivers.modbus.link import LinkError
from drivers.registry import make_group, open_devices
from drivers.scan.command import ScanOptions, look
from drivers.tape.command import field_replay
from drivers.tape.reader import read
from drivers.tape.records import Kind, decode
from drivers.tape.replay import Played, play
from drivers.tape.tape import Tape
from drivers.tape.told import ToldSession
from drivers.tape.wire import Exchange

pytestmark = pytest.mark.socket

GOLDEN = Path(__file__).parent / "field_recording"
FLOATS = {0: 0x4366, 1: 0x0000, 52: 0x44A0, 53: 0}  # an SDM630: 230 V, 1280 W


def replayed(path: Path) -> Played:
    remarks: list[str] = []
    return play(read(path, remarks), Played(remarks=remarks))


async def polled(tape: Tape, device: Device, times: int) -> None:
    link = open_devices([device], SystemClock(), tape)[device.id]
    for _ in range(times):
        await link.poll()
        await asyncio.sleep(0.02)
    await link.aclose()


@pytest.mark.parametrize(("profile", "image"), [("eastron_sdm630", FLOATS), ("sunspec_der", SUNSPEC_DER)])
async def test_what_was_published_comes_out_of_the_recorded_bytes_again(
    profile: str, image: dict[int, int], tmp_path: Path
) -> None:
    tape = Tape(tmp_path / "field", SystemClock().now_s)
    async with hostile(*[serving(image)] * 200) as server:
        await polled(tape, device_of(server.endpoint, profile), 4)
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    (told,) = played.devices.values()
    assert (told.polls, played.differing, played.remarks, played.failed) == (4, 0, [], 0)
    assert sum(quality is Quality.GOOD for _, _, quality in told.published) >= 2
    assert played.exact


async def test_devices_that_are_polled_together_are_recorded_as_well(tmp_path: Path) -> None:
    tape, clock = Tape(tmp_path / "field", SystemClock().now_s), SystemClock()
    async with hostile(*[serving(FLOATS)] * 200) as server:
        device = device_of(server.endpoint, "eastron_sdm630")
        links = open_devices([device], clock, tape)
        came = asyncio.Queue[object]()
        fleet = make_group(list(links.values()), clock, came.put_nowait)
        for _ in range(5):
            async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
                fleet.tick(group)
                await came.get()
        await links[device.id].aclose()
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    assert [(told.polls, told.values > 0) for told in played.devices.values()] == [(5, True)]
    assert played.exact


@pytest.mark.parametrize("transport", ["tcp", "rtu"])
async def test_every_hostile_row_is_judged_again_as_it_was(transport: str, tmp_path: Path) -> None:
    rows = {name: row for name, row in ROWS.items() if transport in row.on and "goes on" not in name}
    script: list[Behaviour] = [lambda ask: (ask.right,)]
    for row in random.Random(4).sample(sorted(rows), 12):
        script += [rows[row].behaviour, lambda ask: (ask.right,)]
    tape, clock = Tape(tmp_path / "field", SystemClock().now_s), SystemClock()
    async with peer_on(transport, script, None) as peer:
        member = Lines(clock, tape=tape).join("D", Endpoint.parse(peer.endpoint), {}, timeout_s=0.08, turnaround_s=0.0)
        loop, counters = asyncio.get_running_loop(), member.session.counters
        while peer.script:
            try:
                request = read_registers(1, 3, 100, 2)
                await member.session.request(request, loop.time() + 0.4, answer_s=0.08)
            except (LinkError, ExceptionAnswer):
                await asyncio.sleep(0.02)
        await member.leave()
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    (wire,) = played.wires.values()
    assert (played.answered, played.refused) == (counters.answers, counters.exceptions)
    assert {reason: wire.ends.get(reason, 0) for reason in counters.rejected} == dict(counters.rejected)
    assert not wire.remarks
    assert played.failed > 4


async def test_an_answer_that_came_twice_counts_in_the_replay_as_it_counted_then() -> None:
    requests = [read_registers(1, 3, address, count) for address, count in ((100, 2), (200, 2), (100, 1))]
    for end, taken in ((LinkError("refused", "leftover"), False), (ExceptionAnswer(2), True), (b"\0\7", True)):
        session = ToldSession(Endpoint.parse("rtu:///dev/ttyX"), SystemClock())
        for request, outcome in zip(requests, (b"same", b"same", end), strict=True):
            session.hear(Exchange(0, 1, request, b"", b"", outcome, 0.0, 0.0))
        assert (await session.request(requests[0], 1.0)).data == b"same"
        if taken:
            assert (await session.request(requests[1], 1.0)).data == b"same"
        else:
            with pytest.raises(LinkError, match="refused"):
                await session.request(requests[1], 1.0)


async def test_a_refused_answer_is_explained_register_by_register(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "field", SystemClock().now_s)

    def lies(frame: bytes) -> tuple[bytes]:
        return (mbap(int.from_bytes(frame[:2], "big"), frame[6], b"\x04\x04\x43\x66\x00\x00"),)

    async with hostile(lies) as server:
        await polled(tape, device_of(server.endpoint, "eastron_sdm630"), 1)
    tape.close()
    said = await asyncio.to_thread(CliRunner().invoke, field_replay, [str(tmp_path / "field")])
    assert said.exit_code == 0, "the same was published"
    lines = [" ".join(line.split()) for line in said.output.splitlines()]
    assert any(line.startswith("length 0007 expected ") for line in lines), said.output
    assert "register 0 u_1_v_ln 1/2 4366" in lines
    assert any("register 2" in line and "missing" in line for line in lines)


async def test_what_was_published_otherwise_than_the_bytes_say_is_told_with_its_registers(tmp_path: Path) -> None:
    class Forged(Tape):
        def published(self, device: Device, points: dict[str, Measurement]) -> None:  # type: ignore[override]
            spoilt = Measurement(235.0, Quality.GOOD, 0.0, 0.0)
            super().published(device, {**points, "u_1_v_ln": spoilt})

    tape = Forged(tmp_path / "field", SystemClock().now_s)
    async with hostile(*[serving(FLOATS)] * 20) as server:
        await polled(tape, device_of(server.endpoint, "eastron_sdm630"), 1)
    tape.close()
    said = await asyncio.to_thread(CliRunner().invoke, field_replay, [str(tmp_path / "field")])
    assert said.exit_code == 1
    assert "D1 u_1_v_ln: published 235.0 good, is 230.0 good (registers 4366 0000)" in said.output


async def test_a_scan_is_recorded(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "field", SystemClock().now_s)
    async with hostile(*[serving(SUNSPEC_DER)] * 200) as server:
        await look("127.0.0.1", server.port, ScanOptions((1,), 0.3, 0.0, 10.0, tape))
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    (wire,) = played.wires.values()
    assert played.answered > 5
    assert not wire.remarks
    assert wire.questions[0][1][7] == 0x2B, "the device was asked who it is"


async def test_the_recording_of_a_secured_line_holds_no_options(tmp_path: Path) -> None:
    secret = {"private_key_file": "/etc/gridedge/secret.pem"}
    device = Device("D1", "modbus", "127.0.0.1:9", 1, "eastron_sdm630", {}, None, 0.2, 1.0, 0.3, secret)
    tape = Tape(tmp_path / "field", SystemClock().now_s)
    await polled(tape, device, 1)
    tape.close()
    data = await asyncio.to_thread((tmp_path / "field").read_bytes)
    contents = [record.content for record in decode(data)]
    assert any(b"127.0.0.1" in content for content in contents)
    assert not any(b"secret" in content or b"private_key" in content for content in contents)


async def written(path: Path, polls: int = 3) -> bytes:
    tape = Tape(path, SystemClock().now_s)
    async with hostile(*[serving(FLOATS)] * 200) as server:
        await polled(tape, device_of(server.endpoint, "eastron_sdm630"), polls)
    tape.close()
    return await asyncio.to_thread(path.read_bytes)


async def test_a_recording_that_ends_anywhere_is_told_and_never_crashes(tmp_path: Path) -> None:
    whole = await written(tmp_path / "whole")
    torn = tmp_path / "torn"
    for size in (0, 4, 9, 40, len(whole) // 2, len(whole) - 1):
        torn.write_bytes(whole[:size])
        said = await asyncio.to_thread(CliRunner().invoke, field_replay, [str(torn)])
        assert said.exit_code == 1
        assert not isinstance(said.exception, (KeyError, IndexError))
        assert "torn" in said.output
        assert "ends within" in said.output or "no field recording" in said.output


async def test_a_flipped_bit_is_told_before_anything_behind_it_is_believed(tmp_path: Path) -> None:
    whole = await written(tmp_path / "whole")
    rng, bent = random.Random(9), tmp_path / "bent"
    for _ in range(40):
        spoilt = bytearray(whole)
        spoilt[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        bent.write_bytes(spoilt)
        said = await asyncio.to_thread(CliRunner().invoke, field_replay, [str(bent)])
        assert said.exit_code == 1, said.output
        assert isinstance(said.exception, SystemExit), said.output
        assert "come out of the bytes otherwise" not in said.output


def test_a_recording_keeps_its_newest_half_and_never_outgrows_its_bound(tmp_path: Path) -> None:
    rng, clock, path = random.Random(2), ManualClock(), tmp_path / "field"
    tape = Tape(path, clock.now_s, bytes_max=200_000)
    note = tape.noter("tcp://127.0.0.1:502")
    for number in range(40):
        clock.advance(1.0)
        for _ in range(80):
            note(Kind.GOT, number.to_bytes(2, "big") + rng.randbytes(200))
        tape._write()
    tape.close()
    sizes = [item.stat().st_size for item in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) < 240_000
    found = [record for record in read(path, []) if record.kind is Kind.GOT]
    numbers = [int.from_bytes(record.content[:2], "big") for record in found]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 39
    assert len(set(numbers)) >= 5


def test_a_disk_that_does_not_keep_up_costs_records_that_are_counted_and_told(tmp_path: Path) -> None:
    class Stuck(Tape):
        def _run(self) -> None:
            self._stop.wait()
            self._write()
            self._file.close()

    tape = Stuck(tmp_path / "field", ManualClock().now_s)
    note = tape.noter("tcp://127.0.0.1:502")
    for _ in range(70):
        note(Kind.GOT, bytes(100_000))
    assert tape.dropped > 20
    assert "too slow" in tape.trouble
    tape.close()
    assert replayed(tmp_path / "field").lost == tape.dropped


def test_a_full_disk_is_told_and_what_was_written_before_can_still_be_read(tmp_path: Path) -> None:
    class NoThread(Tape):
        def _run(self) -> None:
            self._stop.wait()

    path = tmp_path / "field"
    tape = NoThread(path, ManualClock().now_s)
    note = tape.noter("tcp://127.0.0.1:502")
    note(Kind.GOT, b"before")
    tape._write()
    stream = tape._file._stream
    assert stream is not None

    class Full:
        name = str(path)

        def write(self, data: bytes) -> int:
            return stream.write(data[:10]) or 0

        def truncate(self, size: int) -> int:
            return stream.truncate(size)

        def seek(self, size: int) -> int:
            return stream.seek(size)

    tape._file._stream = Full()  # type: ignore[assignment]
    note(Kind.GOT, b"during")
    tape._write()
    assert "the disk took 10 of" in tape.trouble
    assert tape.dropped == 1
    tape._file._stream = stream
    note(Kind.GOT, b"after")
    tape._write()
    tape._file.close()
    tape.close()
    records = list(decode(path.read_bytes()))
    assert [record.content for record in records if record.kind is Kind.GOT] == [b"before", b"after"]
    assert [record.content for record in records if record.kind is Kind.LOST] == [b"\0\0\0\1"]


def test_a_place_that_cannot_be_written_to_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Tape(tmp_path / "nowhere" / "field", ManualClock().now_s)


def test_a_recording_of_an_earlier_version_is_read_as_ever() -> None:
    """The file was recorded once and is never made again: its form must not change by accident."""
    said = CliRunner().invoke(field_replay, [str(GOLDEN / "meter.field"), "--exchanges"])
    assert said.output == (GOLDEN / "meter.txt").read_text("utf-8")
    assert said.exit_code == 0


async def test_a_serial_line_that_was_late_once_is_told_again_with_the_gap(tmp_path: Path) -> None:
    def late(ask: Ask) -> tuple[float | bytes, ...]:
        return (0.4, ask.right)

    tape, clock = Tape(tmp_path / "field", SystemClock().now_s), SystemClock()
    async with on_line([lambda ask: (ask.right,), late]) as peer:
        device = Device("D1", "modbus", peer.endpoint, 1, "eastron_sdm630", {}, None, 0.2, 1.0, 0.25)
        link = open_devices([device], clock, tape)["D1"]
        for _ in range(8):
            await link.poll()
            await asyncio.sleep(0.15)
        await link.aclose()
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    assert played.failed >= 1
    assert played.exact, [wire.remarks for wire in played.wires.values()]


async def test_a_device_that_goes_away_and_comes_back_is_told_again_exactly(tmp_path: Path) -> None:
    """With an identity, which is believed only on the connection that it was read on."""
    tape = Tape(tmp_path / "field", SystemClock().now_s)
    behave = serving({0xA000: 7, 0: 2305, 0x28: 100, 0x33: 500})
    async with hostile(*[behave] * 50) as server:
        device = device_of(server.endpoint, "carlo_gavazzi_em24")
        link = open_devices([device], SystemClock(), tape)[device.id]
        assert (await link.poll())["application"].value == 7.0
        await link.poll()
    gone = [await link.poll() for _ in range(3)]
    assert gone[-1]["application"].quality is Quality.MISSING
    await link.aclose()
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    assert [told.polls for told in played.devices.values()] == [5]
    assert not played.differences


def test_json_says_the_same() -> None:
    said = CliRunner().invoke(field_replay, [str(GOLDEN / "meter.field"), "--json"])
    found = json.loads(said.output)
    assert found["exact"]
    assert found["devices"][0]["points"]["u_1_v_ln"]["raw"] == "4366 0000"
