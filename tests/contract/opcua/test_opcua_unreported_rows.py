"""OPC UA servers that keep a subscription alive and no longer report one of its points."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from asyncua import ua
from hostile_opcua_server import HostileServer, opcua_device, shown
from structlog.testing import capture_logs
from test_opcua_hostile_rows import TIMEOUT_S

from drivers.opcua import device as device_module
from drivers.opcua.device import OpcUaDevice
from drivers.opcua.session import points as points_module
from drivers.opcua.session.cross_check import LOOKS_MAX

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]

LOOK_S = 0.1
SLACK_S = 1.0  # connecting anew, and a busy machine


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_module, "CHECK_S", LOOK_S)


MOVES: dict[str, Callable[[int], ua.DataValue]] = {
    "a ramp": lambda turn: shown(100.0 + turn),
    "one step": lambda _: shown(100.0),
    "only its quality": lambda _: shown(50.0, 0x8000_0000),
}


@pytest.mark.parametrize("move", MOVES)
async def test_a_point_that_is_no_longer_reported_is_read_after_four_looks(server: HostileServer, move: str) -> None:
    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await until(device, 50.0)
    server.unreported = {"p_w"}
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        for turn in range(400):
            server.values |= {"p_w": MOVES[move](turn), "u_v": shown(230.0 + turn % 7)}
            points = await device.poll()
            if not device.counts()["subscribed"] and points["u_v"].usable:
                break
            await asyncio.sleep(0.02)
    assert asyncio.get_running_loop().time() - began < (1 + LOOKS_MAX) * LOOK_S + SLACK_S
    assert [(line["event"], line["device"]) for line in logs] == [("subscription.distrusted", "DUT")]
    assert points["p_w"].value == server.values["p_w"].Value.Value or not points["p_w"].usable
    server.values["p_w"] = shown(7.0)
    await until(device, 7.0)
    assert device.counts()["connects"] == 2
    await device.aclose()


async def test_a_server_that_was_read_instead_reports_again_after_a_while(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "READ_INSTEAD_S", 0.3)
    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await until(device, 50.0)
    server.unreported = {"p_w"}
    server.values["p_w"] = shown(60.0)
    await until(device, 60.0)
    assert not device.counts()["subscribed"]
    server.unreported = set()
    await asyncio.sleep(0.35)
    server.cut_everyone()
    await asyncio.sleep(0.05)
    await until(device, 60.0)
    assert device.counts()["subscribed"]
    await device.aclose()


async def test_points_that_move_and_points_that_stand_still_are_left_as_they_are(server: HostileServer) -> None:
    """Whatever a look reads is newer than what was reported; the next report ends the doubt."""
    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await until(device, 50.0)
    for turn in range(60):
        server.values |= {"p_w": shown(float(turn)), "i_a": shown(float(turn // 20))}
        await device.poll()
        await asyncio.sleep(0.02)
    assert device.counts()["connects"] == 1
    assert device.counts()["subscribed"]
    await device.aclose()


async def until(device: OpcUaDevice, value: float) -> None:
    """Poll until ``p_w`` is good and has this value."""
    async with asyncio.timeout(5.0):
        while not ((point := (await device.poll())["p_w"]).usable and point.value == value):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
