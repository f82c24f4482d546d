"""One time for the processes of a simulated site: it stands still while one of them gets no processor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.shared_time import BEAT_S, GONE_S, STALL_S, FollowingTime, LeadingTime, run


class Machine:
    """The clock that all processes of a machine share."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Pair:
    """A leader and its follower, each of which looks only when told to."""

    def __init__(self, folder: Path, *, waited_for: bool = True) -> None:
        self.machine = Machine()
        self.leader = LeadingTime(folder / "time", self.machine)
        self.follower = FollowingTime(folder / "time", waited_for=waited_for, machine_s=self.machine)

    def pass_s(self, seconds: float, *, leader: bool = True, follower: bool = True) -> None:
        """Let the machine's time pass; who has a processor looks at every beat."""
        for _ in range(round(seconds / BEAT_S)):
            self.machine.now_s += BEAT_S
            if follower:
                self.follower()
            if leader:
                self.leader()


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
    pair = Pair(tmp_path, waited_for=False)
    pair.pass_s(1.0)
    pair.pass_s(0.5, follower=False)
    assert pair.leader() == pytest.approx(1.5)
    assert pair.follower() == pytest.approx(1.5)


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
    with pytest.raises(ValueError, match=r"time has 2 bytes; expected a time page of 24"):
        FollowingTime(tmp_path / "time", waited_for=True)
