"""One device, read by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from runtime_stubs import make_device
from scripted_device import ScriptedDevice
from structlog.testing import capture_logs
from virtual_time import LoopClock, in_virtual_time

from controller.runtime.poller import Poller
from controller.runtime.process_image import ProcessImage


class Bench:
    """A poller with its device, its image and everything that it told."""

    def __init__(self, poll_s: float = 1.0) -> None:
        self.clock = LoopClock()
        self.spec = make_device("meter", {"p_w": "interface.p_w"}, poll_s=poll_s)
        self.device = ScriptedDevice("meter", self.clock)
        self.image = ProcessImage([self.spec])
        self.back: list[str] = []
        self.beats = self.unsaid = 0
        self.poller = Poller(self.spec, self.device, self.image, self.clock, on_back=self.back.append, beat=self._count)

    def _count(self) -> None:
        self.beats += 1

    def run(self, duration_s: float, *at: tuple[float, Callable[[], None]]) -> list[str]:
        """Poll for a while, doing things at given instants; the names of the logged events."""

        async def scene() -> None:
            loop = asyncio.get_running_loop()
            for when_s, action in at:
                loop.call_at(when_s, action)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(self.poller.run(), duration_s)

        with capture_logs() as logs:
            in_virtual_time(scene())
        self.unsaid = sum(entry.get("unsaid", 0) for entry in logs)
        return [str(entry["event"]) for entry in logs]

    def be_silent(self) -> None:
        self.device.silent = True

    def speak(self) -> None:
        self.device.silent = False


def test_a_device_is_polled_at_its_own_period_without_drift() -> None:
    bench = Bench(poll_s=0.5)
    bench.device.delay_s = 0.2
    bench.run(2.9)
    assert bench.device.polled_at_s == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert (bench.poller.ok, bench.poller.failed, bench.poller.skipped, bench.beats) == (6, 0, 0, 6)


def test_polls_that_would_overlap_are_skipped_and_counted() -> None:
    bench = Bench()
    bench.device.delay_s = 2.5
    bench.run(8.9)
    assert bench.device.polled_at_s == [0.0, 3.0, 6.0]
    assert bench.poller.skipped == 6


def test_a_value_carries_the_instant_of_its_request() -> None:
    bench = Bench()
    bench.device.delay_s = 0.4
    bench.run(0.9)
    assert bench.image.freeze(0.9).age_s("interface.p_w") == pytest.approx(0.9)


def test_losing_and_finding_a_device_is_told_once_each() -> None:
    bench = Bench()
    logged = bench.run(20.5, (5.5, bench.be_silent), (12.5, bench.speak))
    assert logged == ["device.found", "device.lost", "device.recovered"]
    assert bench.back == ["meter"]
    assert (bench.poller.failed, bench.poller.ok) == (7, 14)


def test_a_device_that_flaps_is_told_every_ten_seconds_and_how_it_ended_in_any_case() -> None:
    bench = Bench(poll_s=0.5)
    flaps = [(10.0 + 8.0 * turn, bench.be_silent) for turn in range(5)]
    flaps += [(14.0 + 8.0 * turn, bench.speak) for turn in range(5)]
    told = bench.run(80.0, *flaps)
    assert told == ["device.found", *["device.lost", "device.recovered"] * 2, "device.lost", "device.recovered"]
    assert len(bench.back) == 5, "its set point is written anew every time"
    assert len(told) - 1 + bench.unsaid == 10


def test_one_bad_poll_is_not_a_loss() -> None:
    bench = Bench()
    assert bench.run(20.5, (5.5, bench.be_silent), (7.5, bench.speak)) == ["device.found"]
    assert bench.back == []


def test_a_device_that_was_never_there_is_lost_and_still_polled() -> None:
    bench = Bench()
    bench.be_silent()
    assert bench.run(5.5) == ["device.lost"]
    assert len(bench.device.polled_at_s) == 6


def test_a_missed_poll_looks_at_no_other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 200 devices fail in one moment, to look at all of them for each of them held the loop for 50 ms."""
    bench = Bench()
    looked: list[str] = []
    is_heard = ProcessImage.is_heard

    def counted(image: ProcessImage, device_id: str, now_s: float) -> bool:
        looked.append(device_id)
        return is_heard(image, device_id, now_s)

    monkeypatch.setattr(ProcessImage, "is_heard", counted)
    bench.image = ProcessImage([make_device(f"other_{number}", {}) for number in range(200)] + [bench.spec])
    bench.poller = Poller(bench.spec, bench.device, bench.image, bench.clock, on_back=bench.back.append, beat=int)
    bench.run(8.5, (2.5, bench.be_silent))
    assert bench.poller.failed == 6
    assert set(looked) == {"meter"}
    assert len(looked) <= 6


def test_a_bug_in_a_driver_is_not_swallowed() -> None:
    bench = Bench()
    bench.device.bug = KeyError("p_w")
    with pytest.raises(KeyError):
        in_virtual_time(bench.poller.run())
