"""Many devices, read together by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from runtime_stubs import bad, good, make_device
from scripted_device import ScriptedDevice
from virtual_time import LoopClock, in_virtual_time

from controller.domain.measurement import Measurement
from controller.ports import Clock, FieldDevice
from controller.runtime.group_poller import GroupPoller, Take, groups_of
from controller.runtime.poller import Poller
from controller.runtime.process_image import ProcessImage

NAMES = ("A", "B", "C")


class ScriptedGroup:
    """Says what it is told to, at once; ``busy`` devices say nothing."""

    def __init__(self, links: Sequence[FieldDevice], clock: Clock, take: Take) -> None:
        self.ids = [link.id for link in links]
        self.clock = clock
        self.take = take
        self.ticks_s: list[float] = []
        self.busy: set[str] = set()
        self.silent: set[str] = set()
        self.blocks_s = 0.0

    def tick(self, group: asyncio.TaskGroup) -> list[str]:
        now_s = self.clock.now_s()
        self.ticks_s.append(round(now_s, 6))
        if self.blocks_s:
            self.clock.work(self.blocks_s)  # type: ignore[attr-defined]
        self.take({name: self.reading(name, now_s) for name in self.ids if name not in self.busy})
        return sorted(self.busy)

    def reading(self, name: str, now_s: float) -> Mapping[str, Measurement]:
        return {"p_w": bad(now_s, "silence") if name in self.silent else good(1.0, now_s)}


class Bench:
    def __init__(self) -> None:
        self.clock = LoopClock()
        devices = [make_device(name, {"p_w": f"unit.{name}.p_w"}, poll_s=0.5) for name in NAMES]
        links = [ScriptedDevice(name, self.clock) for name in NAMES]
        self.image = ProcessImage(devices)
        self.beats = dict.fromkeys(NAMES, 0)
        self.pollers = {
            device.id: Poller(
                device,
                link,
                self.image,
                self.clock,
                on_back=lambda _: None,
                beat=lambda name=device.id: self.beat(name),
            )
            for device, link in zip(devices, links, strict=True)
        }
        self.group: ScriptedGroup | None = None
        self.poller = GroupPoller(self.pollers, links, 0.5, self.clock, self.make)

    def make(self, links: Sequence[FieldDevice], clock: Clock, take: Take) -> ScriptedGroup:
        self.group = ScriptedGroup(links, clock, take)
        return self.group

    def beat(self, name: str) -> None:
        self.beats[name] += 1

    def run(self, duration_s: float) -> ScriptedGroup:
        async def scene() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(self.poller.run(), duration_s)

        in_virtual_time(scene())
        assert self.group is not None
        return self.group


def test_all_devices_are_read_at_every_tick_and_each_keeps_its_own_count() -> None:
    bench = Bench()
    assert bench.group is not None
    bench.group.silent = {"B"}
    assert bench.run(1.9).ticks_s == [0.0, 0.5, 1.0, 1.5]
    assert {name: (poller.ok, poller.failed) for name, poller in bench.pollers.items()} == {
        "A": (4, 0),
        "B": (0, 4),
        "C": (4, 0),
    }
    assert bench.beats == dict.fromkeys(NAMES, 4), "a bad answer is a sign of life of the poller"


def test_a_busy_device_skips_its_tick_and_the_others_do_not() -> None:
    bench = Bench()
    assert bench.group is not None
    bench.group.busy = {"C"}
    bench.run(1.9)
    assert (bench.pollers["A"].ok, bench.pollers["C"].ok, bench.pollers["C"].skipped) == (4, 0, 4)
    assert bench.beats["C"] == 0, "its heart is not heard"


def test_ticks_that_pass_meanwhile_are_skipped_by_all_and_not_caught_up() -> None:
    bench = Bench()
    assert bench.group is not None
    bench.group.blocks_s = 1.2
    group = bench.run(0.9)
    assert group.ticks_s[:2] == [0.0, 1.5]
    assert {poller.skipped for poller in bench.pollers.values()} == {2 * len(group.ticks_s)}


def test_only_devices_of_one_period_that_can_be_grouped_are() -> None:
    clock = LoopClock()
    periods = {"A": 0.5, "B": 0.5, "C": 0.5, "D": 1.0, "E": 1.0, "F": 2.0}
    devices = [make_device(name, {"p_w": f"unit.{name}.p_w"}, poll_s=poll_s) for name, poll_s in periods.items()]
    links = {name: ScriptedDevice(name, clock) for name in periods}
    assert groups_of(devices, links, lambda link: link.id not in "CE") == {0.5: ["A", "B"]}
