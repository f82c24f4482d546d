"""One device, told the newest set point."""

from __future__ import annotations

import asyncio

from scripted_device import ScriptedDevice
from structlog.testing import capture_logs
from virtual_time import LoopClock, in_virtual_time

from controller.runtime.commands import WriteRequest
from controller.runtime.writer import Writer


def request(p_w: float) -> WriteRequest:
    return WriteRequest("inverter", {"p_w": p_w}, 9.0, {"p_w": 0.0})


async def write_all(device: ScriptedDevice, *requests: tuple[float, float]) -> list[str]:
    """Submit ``(instant, power)`` pairs and let the writer finish; the devices that were reported as failed."""
    failed: list[str] = []
    writer = Writer(device, failed.append)
    loop = asyncio.get_running_loop()
    for at_s, p_w in requests:
        loop.call_at(at_s, writer.submit, request(p_w))
    task = asyncio.create_task(writer.run())
    await asyncio.sleep(60.0)
    task.cancel()
    return failed


def powers(device: ScriptedDevice) -> list[tuple[float, float]]:
    return [(at_s, values["p_w"]) for at_s, values, _ in device.writes]


def test_what_was_not_sent_yet_is_replaced_by_the_newest() -> None:
    device = ScriptedDevice("inverter", LoopClock())
    device.delay_s = 5.0
    in_virtual_time(write_all(device, (0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)))
    assert powers(device) == [(0.0, 1.0), (5.0, 4.0)]


def test_a_write_is_never_repeated_by_the_writer_itself() -> None:
    device = ScriptedDevice("inverter", LoopClock())
    device.silent = True
    assert in_virtual_time(write_all(device, (0.0, 1.0))) == ["inverter"]
    assert powers(device) == [(0.0, 1.0)]


def test_a_refused_write_has_arrived_and_is_not_repeated_every_cycle() -> None:
    device = ScriptedDevice("inverter", LoopClock())
    device.refuses = True
    assert in_virtual_time(write_all(device, (0.0, 1.0))) == []


def test_results_are_told_when_they_change() -> None:
    device = ScriptedDevice("inverter", LoopClock())

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(2.5, setattr, device, "silent", True)
        loop.call_at(5.5, setattr, device, "silent", False)
        await write_all(device, *((float(k), float(k)) for k in range(9)))

    with capture_logs() as logs:
        in_virtual_time(scene())
    assert [entry["event"] for entry in logs] == ["command.acknowledged", "command.failed", "command.acknowledged"]
