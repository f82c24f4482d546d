"""What a technician may rely on when OPC UA is recorded: every answer, told again to the same published values."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hostile_opcua_server import METER, TRUE, HostileServer, opcua_device, shown
from test_opcua_hostile_rows import DELIVERIES, TAMPERED, TIMEOUT_S, VALUES, good, reasons

from controller.clock import SystemClock
from controller.domain.measurement import Quality
from controller.ports import Clock
from drivers.opcua.device import OpcUaDevice
from drivers.opcua.session import points as points_module
from drivers.tape import told_opcua
from drivers.tape.command import field_replay
from drivers.tape.reader import read
from drivers.tape.records import Kind, decode
from drivers.tape.replay import Played, play
from drivers.tape.tape import Tape

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]

SEED = 20261123


@pytest.fixture(autouse=True)
def meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_opcua, "load_profile", lambda _: METER)
    monkeypatch.setattr(points_module, "CHECK_S", 0.1)  # so that looks at the points are in the recording


def recorded(port: int, delivery: str, tape: Tape, clock: Clock | None = None) -> OpcUaDevice:
    return OpcUaDevice(opcua_device(port, delivery, TIMEOUT_S)._device, METER, clock or SystemClock(), tape=tape)


def replayed(path: Path) -> Played:
    remarks: list[str] = []
    return play(read(path, remarks), Played(remarks=remarks))


async def seen(device: OpcUaDevice, value: float) -> float:
    """The point's value, once it is `value`; the last one that was told where that takes longer than 5 s."""
    told = math.nan
    for _ in range(500):
        told = (await device.poll())["p_w"].value
        if told == value:
            break
        await asyncio.sleep(0.01)
    return told


def is_the_same(played: Played) -> None:
    assert not played.differing, played.differences[0]
    assert not played.remarks
    assert [channel.remarks for channel in played.channels.values()] == [[]]
    assert played.exact


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_values_that_live_come_out_of_the_recorded_answers_again(
    server: HostileServer, delivery: str, tmp_path: Path
) -> None:
    tape, rng = Tape(tmp_path / "field", SystemClock().now_s), random.Random(SEED)
    device, said = recorded(server.port, delivery, tape), []
    await good(device)
    for _ in range(30):
        server.values["p_w"] = shown(rng.uniform(-1e6, 1e6), rng.choice((0, 0, 0x4090_0000, 0x808C_0000)))
        await asyncio.sleep(rng.choice((0.0, 0.01, 0.03)))
        said.append((await device.poll())["p_w"].value)
    for turn in range(11):  # whatever the server's publishing makes of the turns above: these are seen one by one
        server.values["p_w"] = shown(float(turn))
        said.append(await seen(device, float(turn)))
    await device.write({"generation_w_max": 500.0}, 60.0, {})
    await device.poll()
    await device.aclose()
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    is_the_same(played)
    (told,) = played.devices.values()
    assert told.polls >= 31
    assert told.values == told.polls * len(told.names)
    assert said[30:] == [float(turn) for turn in range(11)]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_what_hostile_servers_said_is_judged_again_as_it_was(
    server: HostileServer, delivery: str, tmp_path: Path
) -> None:
    tape, rng = Tape(tmp_path / "field", SystemClock().now_s), random.Random(SEED)
    device = recorded(server.port, delivery, tape)
    for row in rng.sample(sorted(TAMPERED), 8):
        await good(device)
        server.tamper, reason = TAMPERED[row]
        await reasons(device, reason)
        server.reset()
    for value in rng.sample(sorted(VALUES), 4):
        await good(device)
        server.values["p_w"] = VALUES[value].value
        await asyncio.sleep(0.05)
        await device.poll()
        server.reset()
    await good(device)
    await device.aclose()
    tape.close()
    played = await asyncio.to_thread(replayed, tmp_path / "field")
    is_the_same(played)
    (channel,) = played.channels.values()
    assert channel.opened >= 6
    assert channel.answered < channel.requests


async def test_a_recording_that_begins_within_a_connection_says_what_it_cannot_compare(
    server: HostileServer, tmp_path: Path
) -> None:
    path = tmp_path / "field"
    tape = Tape(path, SystemClock().now_s, bytes_max=6000)
    device = recorded(server.port, "read", tape)
    for turn in range(200):
        server.values["p_w"] = shown(float(turn))
        await device.poll()
        await asyncio.sleep(0.005)
        if turn == 100:
            await asyncio.sleep(0.6)  # two turns of the writer: a new part begins
    server.cut_everyone()
    server.reset()
    await good(device)
    await device.aclose()
    tape.close()
    await asyncio.to_thread(Path(f"{path}.1").unlink)
    played = await asyncio.to_thread(replayed, path)
    is_the_same(played)
    (channel,) = played.channels.values()
    assert channel.uncompared > 0
    (told,) = played.devices.values()
    assert told.values > 0, "what came after the next connection is compared"
    said = await asyncio.to_thread(CliRunner().invoke, field_replay, [str(path)])
    assert said.exit_code == 0
    assert "polls of DUT are not compared: the connection in use was opened before the recording begins" in said.output


async def test_what_was_published_otherwise_is_told(server: HostileServer, tmp_path: Path) -> None:
    path = tmp_path / "field"
    tape = Tape(path, SystemClock().now_s)
    device = recorded(server.port, "read", tape)
    points = await good(device)
    tape.published(device._device, points | {"u_v": replace(points["u_v"], value=235.0)})
    await device.aclose()
    tape.close()
    said = await asyncio.to_thread(CliRunner().invoke, field_replay, [str(path)])
    assert said.exit_code == 1
    assert "DUT u_v: published 235.0 good" in said.output


async def test_nothing_that_makes_a_session_is_recorded(server: HostileServer, tmp_path: Path) -> None:
    path = tmp_path / "field"
    tape = Tape(path, SystemClock().now_s)
    device = recorded(server.port, "subscription", tape)
    points = await good(device)
    await device.aclose()
    tape.close()
    kinds = {record.kind for record in decode(path.read_bytes())}
    assert {Kind.ASKED, Kind.ANSWERED, Kind.TAKEN, Kind.LOOKED, Kind.OPENED, Kind.ENDED} <= kinds
    asked = b"".join(record.content for record in decode(path.read_bytes()) if record.kind is Kind.ASKED)
    assert b"gridedge" not in asked, "a session's name and its tokens are in what connects"
    assert [points[name].value for name in TRUE] == list(TRUE.values())
    assert all(point.quality is Quality.GOOD for point in points.values())
