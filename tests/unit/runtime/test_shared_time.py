"""One time for the processes of a simulated site: it stands still while one of them gets no processor."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.shared_time import (
    BEAT_S,
    BEGIN_S,
    GONE_S,
    PAGE_BYTES,
    STALL_S,
    WORK_FREE_S,
    WORK_S_MAX,
    Follower,
    FollowingTime,
    LeadingTime,
    WorkPool,
    run,
)


class Machine:
    """The clock that all processes of a machine share."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Pair:
    """A leader and its followers, each of which looks only when told to."""

    def __init__(
        self, folder: Path, who: Follower | None = Follower.CONTROLLER, expected: tuple[Follower, ...] = ()
    ) -> None:
        self.machine = Machine()
        self.page = folder / "time"
        self.leader = LeadingTime(self.page, self.machine, expected)
        self.follower = self.another(who)

    def another(self, who: Follower | None) -> FollowingTime:
        return FollowingTime(self.page, who, self.machine)

    def pass_s(self, seconds: float, *more: FollowingTime, leader: bool = True, follower: bool = True) -> None:
        """Let the machine's time pass; who has a processor looks at every beat."""
        looking = [*more, *([self.follower] if follower else []), *([self.leader] if leader else [])]
        for _ in range(round(seconds / BEAT_S)):
            self.machine.now_s += BEAT_S
            for look in looking:
                look()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_while_both_have_a_processor_it_is_the_machines_time(pair: Pair) -> None:
    pair.pass_s(2.0)
    assert pair.leader() == pytest.approx(2.0)
    assert pair.follower() == pytest.approx(2.0)
    assert pair.leader.stood_s == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_it_stands_still_while_one_has_no_processor(pair: Pair, who: str) -> None:
    pair.pass_s(1.0)
    pair.pass_s(0.5, **{who: False})
    pair.pass_s(1.0)
    assert pair.leader() == pytest.approx(2.0, abs=2 * STALL_S)
    assert pair.follower() == pair.leader()
    assert pair.leader.stood_s == pytest.approx(0.5, abs=2 * STALL_S)


def test_it_waits_for_the_work_of_the_leader(pair: Pair) -> None:
    pair.pass_s(1.0)
    pair.leader.until_s = 1.5
    pair.pass_s(1.0)
    assert pair.follower() == pytest.approx(1.5)
    pair.leader.until_s = 3.0
    pair.pass_s(1.0)
    assert pair.follower() == pytest.approx(2.5, abs=2 * STALL_S)


def test_who_is_gone_is_waited_for_no_more(pair: Pair) -> None:
    pair.pass_s(1.0)
    pair.pass_s(GONE_S + 3.0, follower=False)
    assert pair.leader() == pytest.approx(4.0, abs=2 * STALL_S)


def test_when_the_leader_is_gone_time_goes_on_and_never_back(pair: Pair) -> None:
    pair.pass_s(1.0)
    seen = []
    for _ in range(4):
        pair.pass_s(GONE_S, leader=False)
        seen.append(pair.follower())
    assert seen == pytest.approx([1.0 + k * GONE_S for k in range(4)], abs=2 * BEAT_S)
    pair.pass_s(1.0)
    assert pair.follower() >= seen[-1]


def test_nobody_waits_for_one_that_only_watches(tmp_path: Path) -> None:
    pair = Pair(tmp_path, None)
    pair.pass_s(1.0)
    pair.pass_s(0.5, follower=False)
    assert pair.leader() == pytest.approx(1.5)
    assert pair.follower() == pytest.approx(1.5)


@pytest.mark.parametrize("who", [Follower.STATION, Follower.PLATFORM])
def test_it_waits_for_station_and_platform_as_for_the_controller(pair: Pair, who: Follower) -> None:
    other = pair.another(who)
    pair.pass_s(1.0, other)
    pair.pass_s(0.5)
    pair.pass_s(1.0, other)
    assert pair.leader() == pytest.approx(2.0, abs=2 * STALL_S)
    assert other() == pair.follower() == pair.leader()


def test_who_works_beside_its_loop_takes_little_of_the_sites_time(pair: Pair) -> None:
    """Its loop has a processor and looks all the time; what was asked of a thread takes as long as it takes."""
    station = pair.another(Follower.STATION)
    pair.pass_s(1.0, station)
    done = station.work()
    pair.pass_s(3.0, station)
    assert pair.leader() == pytest.approx(1.0 + WORK_FREE_S, abs=2 * STALL_S)
    done()
    pair.pass_s(1.0, station)
    assert pair.leader() == pytest.approx(2.0 + WORK_FREE_S, abs=3 * STALL_S)


def test_work_that_hangs_is_waited_for_once(pair: Pair) -> None:
    station = pair.another(Follower.STATION)
    station.work()
    pair.pass_s(WORK_S_MAX + 2.0, station)
    assert pair.leader() == pytest.approx(2.0 + WORK_FREE_S, abs=3 * STALL_S)
    station.work()
    pair.pass_s(1.0, station)
    assert pair.leader() == pytest.approx(3.0 + WORK_FREE_S, abs=4 * STALL_S)


def test_who_is_killed_at_its_work_is_waited_for_no_longer_than_anybody(pair: Pair) -> None:
    station = pair.another(Follower.STATION)
    station.work()
    station()
    pair.pass_s(GONE_S + 3.0)
    assert pair.leader() == pytest.approx(3.0, abs=2 * STALL_S)


def test_a_leader_that_waits_is_not_taken_for_a_dead_one(pair: Pair) -> None:
    """A piece of work may last longer than one waits for a sign of life."""
    station = pair.another(Follower.STATION)
    pair.pass_s(1.0, station)
    done = station.work()
    pair.pass_s(2.0 * GONE_S, station)
    done()
    assert pair.follower() == pair.leader()


def test_time_begins_when_all_who_are_expected_are_there(tmp_path: Path) -> None:
    pair = Pair(tmp_path, expected=(Follower.CONTROLLER, Follower.STATION))
    pair.pass_s(0.5, follower=False)
    pair.leader.begin()
    pair.pass_s(1.0)
    assert pair.leader() == pytest.approx(0.5)
    station = pair.another(Follower.STATION)
    pair.pass_s(1.0, station)
    assert station() == pytest.approx(1.5, abs=2 * STALL_S)
    assert pair.leader.stood_s == pytest.approx(0.0, abs=STALL_S), "nothing stood still before it began"


def test_who_never_comes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    pair = Pair(tmp_path, expected=(Follower.STATION,))
    pair.leader.begin()
    pair.pass_s(BEGIN_S + 1.0)
    assert pair.leader() == pytest.approx(1.0, abs=2 * STALL_S)


def test_what_a_loop_gives_to_threads_is_its_work(pair: Pair) -> None:
    async def asked() -> None:
        working, may_end = threading.Event(), threading.Event()
        loop = asyncio.get_running_loop()
        thread = loop.run_in_executor(None, lambda: (working.set(), may_end.wait(10.0)))
        assert await asyncio.to_thread(working.wait, 10.0)
        station()
        assert pair.leader() == pytest.approx(0.0)
        pair.pass_s(WORK_FREE_S + 1.0, station)
        stood_at_s = pair.leader()
        assert stood_at_s < 2.0 * WORK_FREE_S
        may_end.set()
        await thread
        await asyncio.sleep(0)
        pair.pass_s(1.0, station)
        assert pair.leader() == pytest.approx(stood_at_s + 1.0, abs=2 * STALL_S)

    station = pair.another(Follower.STATION)
    run(asked(), station)


def test_what_waits_for_a_thread_is_work_already(pair: Pair) -> None:
    platform = pair.another(Follower.PLATFORM)
    may_end = threading.Event()
    with WorkPool(1, platform.work) as pool:
        first = pool.submit(may_end.wait, 10.0)
        second = pool.submit(int, "7")
        pair.pass_s(1.0, platform)
        assert pair.leader() < 2.0 * WORK_FREE_S
        may_end.set()
        assert (first.result(10.0), second.result(10.0)) == (True, 7)
    before_s = pair.leader()
    pair.pass_s(1.0, platform)
    assert pair.leader() == pytest.approx(before_s + 1.0, abs=2 * STALL_S)


def test_all_have_the_same_second_zero(pair: Pair) -> None:
    pair.pass_s(0.5)
    leads = SystemClock(144.0, shared=pair.leader)
    pair.pass_s(0.25)
    follows = SystemClock(144.0, shared=pair.follower)
    pair.pass_s(0.25)
    assert follows.now_s() == pytest.approx(leads.now_s())
    assert follows.now_s() == pytest.approx(72.0)


def test_timers_of_an_event_loop_go_by_it(pair: Pair) -> None:
    """The machine's second passes while the loop looks twice: of each look only a piece counts."""

    async def slept_s() -> float:
        began_s = asyncio.get_running_loop().time()
        pair.machine.now_s += 1.0
        timer = asyncio.create_task(asyncio.sleep(10 * STALL_S))
        looks = 0
        while not timer.done():
            pair.machine.now_s += 0.1  # far more than a piece
            looks += 1
            await asyncio.sleep(0)
        assert looks >= 4, "one look must not end the sleep"
        return asyncio.get_running_loop().time() - began_s

    pair.follower()
    pair.machine.now_s += GONE_S + 1.0  # the leader is alone in this test
    assert run(slept_s(), pair.leader) >= 10 * STALL_S


def test_a_page_of_another_make_is_refused(tmp_path: Path) -> None:
    (tmp_path / "time").write_bytes(b"12")
    with pytest.raises(ValueError, match=rf"time has 2 bytes; expected a time page of {PAGE_BYTES}"):
        FollowingTime(tmp_path / "time", Follower.CONTROLLER)
