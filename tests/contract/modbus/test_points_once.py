"""``gridedge points --once`` where nothing, half or only the healthy part of a site answers: it ends, and says why."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack

import pytest
from hostile_peer import Ask, Behaviour, Step, on_line, on_socket
from hostile_table import GARBAGE

from controller.app import open_devices
from controller.clock import SystemClock
from controller.domain.measurement import Quality
from controller.domain.site import Device
from controller.field import watch as watch_module
from controller.field.watch import DeviceLines, Watch

pytestmark = pytest.mark.socket

TIMEOUT_S, PATIENCE_S = 0.25, 0.9
SLACK_S = 3.0  # of a machine that others use too


def meter(name: str, endpoint: str, profile: str = "schneider_pm2000", unit: int = 1) -> Device:
    return Device(name, "modbus", endpoint, unit, profile, {}, None, 1.0, 5.0, TIMEOUT_S)


def right(ask: Ask) -> tuple[Step, ...]:
    return (ask.framed(bytes((ask.pdu[0], 2 * ask.pdu[4])) + bytes(2 * ask.pdu[4])),)


SICK: dict[str, Behaviour] = {
    "silent": lambda _: (),
    "garbage": lambda _: (GARBAGE,),
    "a flood": lambda _: (GARBAGE * 200,),
    "wrong unit": lambda ask: (ask.framed(ask.right_pdu, unit=1),),
    "busy": lambda ask: (ask.framed(bytes((ask.pdu[0] | 0x80, 6))),),
    "hangs up": lambda _: ("rst",),
    "a byte in a while": lambda ask: (ask.right[:1], 0.2, ask.right[1:2], 0.2, ask.right[2:3], 0.2),
}


async def once(devices: list[Device]) -> dict[str, DeviceLines]:
    clock = SystemClock()
    watch = Watch(tuple(devices), open_devices(tuple(devices), clock), clock)
    started = time.monotonic()
    try:
        await watch.poll_once(patiently=True)
        found = {lines.device.id: lines for lines in watch.lines()}
    finally:
        await watch.aclose()
    assert time.monotonic() - started < PATIENCE_S + TIMEOUT_S + SLACK_S
    return found


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "PATIENCE_S_MIN", PATIENCE_S)


async def test_a_meter_alone_on_a_serial_line_is_read_though_the_line_is_listened_to_first() -> None:
    async with on_line([right] * 99) as line:
        found = await once([meter("LINE", line.endpoint)])
        assert found["LINE"].ok, found["LINE"].points[0].reason


@pytest.mark.parametrize("healthy", [0, 5], ids=["nothing answers", "half of it answers"])
async def test_it_ends_in_time_and_says_of_every_point_of_the_sick_why(healthy: int) -> None:
    async with AsyncExitStack() as stack:
        peers = {name: await stack.enter_async_context(on_socket([sick] * 99)) for name, sick in SICK.items()}
        devices = [meter(name.replace(" ", "_"), peer.endpoint) for name, peer in peers.items()]
        devices += [meter("nobody", "127.0.0.1:9"), meter("sunspec", "127.0.0.1:9", "sunspec_meter", 2)]
        for number in range(healthy):
            peer = await stack.enter_async_context(on_socket([right] * 99))
            devices.append(meter(f"well_{number}", peer.endpoint))
        found = await once(devices)
    for name, lines in found.items():
        assert lines.ok == name.startswith("well")
        assert lines.points
        for point in lines.points:
            good = point.quality is Quality.GOOD
            assert good == math.isfinite(point.value)
            assert good or point.reason, f"{name} {point.point}: {point.quality.name} and no reason"


async def test_a_server_that_does_not_let_go_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    devices = tuple(meter(f"D{number}", f"127.0.0.1:{9 + number}") for number in range(20))
    links = open_devices(devices, clock)
    for link in links.values():
        monkeypatch.setattr(link, "aclose", lambda: asyncio.sleep(0.1))
    started = time.monotonic()
    await Watch(devices, links, clock).aclose()
    assert time.monotonic() - started < 1.0
