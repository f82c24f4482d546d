"""The arbiter and the reasons it listens to: only ever narrower, each value with its cause, memories that survive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.limit import Limit, LimitKind
from controller.domain.record import Event
from controller.domain.snapshot import Snapshot
from controller.limits.in_force import RATING, Arbiter, Proposal, Situation, consider, dump, restore

LIMITS = (
    Limit("T1.thermal", LimitKind.THERMAL, "T1", 780.0, rated=520.0),
    Limit("L1.thermal", LimitKind.THERMAL, "L1", 500.0),
    Limit("N1.voltage", LimitKind.VOLTAGE, "N1", 11.66e3, 10.34e3),
    Limit("export", LimitKind.EXPORT, "interface", 9e6),
)
T1, L1, N1, EXPORT = range(4)
ARBITER = Arbiter(LIMITS)


def test_without_a_proposal_every_limit_is_its_rating() -> None:
    found = ARBITER.narrow(())
    assert found.high.tolist() == [520.0, 500.0, 11.66e3, 9e6]
    assert found.low.tolist() == [0.0, 0.0, 10.34e3, 0.0]
    assert set(found.cause) == {RATING}


PROPOSALS = [
    ((Proposal(L1, 400.0, cause="a"), Proposal(L1, 450.0, cause="b")), L1, 400.0, "a"),
    ((Proposal(L1, 450.0, cause="b"), Proposal(L1, 400.0, cause="a")), L1, 400.0, "a"),
    ((Proposal(L1, 400.0, cause="first"), Proposal(L1, 400.0, cause="second")), L1, 400.0, "first"),
    ((Proposal(L1, 600.0, cause="wide"),), L1, 500.0, RATING),
    ((Proposal(L1, -5.0, cause="below nothing"),), L1, 0.0, "below nothing"),
    ((Proposal(L1, math.nan, cause="nonsense"),), L1, 500.0, RATING),
    ((Proposal(T1, 700.0, cause="hot spot", rates=True),), T1, 700.0, "hot spot"),
    ((Proposal(T1, 400.0, cause="hot spot", rates=True),), T1, 400.0, "hot spot"),
    ((Proposal(T1, 900.0, cause="hot spot", rates=True),), T1, 780.0, RATING),
    ((Proposal(T1, math.nan, cause="hot spot", rates=True),), T1, 520.0, "hot spot"),
    ((Proposal(T1, math.inf, cause="hot spot", rates=True),), T1, 520.0, "hot spot"),
    ((Proposal(T1, 700.0, cause="operator"),), T1, 520.0, RATING),
    ((Proposal(T1, 700.0, cause="hot spot", rates=True), Proposal(T1, 600.0, cause="operator")), T1, 600.0, "operator"),
    ((Proposal(T1, 700.0, cause="hot spot", rates=True), Proposal(T1, math.nan, cause="broken")), T1, 520.0, "broken"),
    ((Proposal(EXPORT, 0.0, cause="lock-out"),), EXPORT, 0.0, "lock-out"),
]


@pytest.mark.parametrize(("proposals", "limit", "high", "cause"), PROPOSALS)
def test_the_tightest_number_wins_and_keeps_its_cause(
    proposals: Sequence[Proposal], limit: int, high: float, cause: str
) -> None:
    found = ARBITER.narrow(proposals)
    assert (found.high[limit], found.cause[limit]) == (high, cause)


def test_both_edges_of_a_band_keep_their_causes() -> None:
    found = ARBITER.narrow((Proposal(N1, 11.5e3, cause="ten minutes"), Proposal(N1, low=10.5e3, cause="operator")))
    assert (found.high[N1], found.low[N1]) == (11.5e3, 10.5e3)
    assert found.cause[N1] == "ten minutes, operator"


def test_a_lower_edge_that_is_no_number_or_lower_changes_nothing() -> None:
    found = ARBITER.narrow((Proposal(N1, low=math.nan), Proposal(N1, low=-math.inf), Proposal(N1, low=9e3)))
    assert found.low[N1] == 10.34e3


edges = st.none() | st.floats(allow_nan=True, allow_infinity=True)
proposals = st.builds(Proposal, st.integers(0, 3), edges, edges, st.just("x"), st.booleans())


@settings(max_examples=300)
@given(some=st.lists(proposals, max_size=6), one=proposals)
def test_one_more_proposal_that_rates_nothing_never_widens(some: list[Proposal], one: Proposal) -> None:
    more = Proposal(one.limit, one.high, one.low, one.cause)
    before, after = ARBITER.narrow(some), ARBITER.narrow([*some, more])
    assert (after.high <= before.high).all()
    assert (after.low >= before.low).all()
    assert (after.high <= [x.high for x in LIMITS]).all()
    assert np.isfinite(after.high).all()
    assert np.isfinite(after.low).all()


@dataclass(frozen=True)
class Counter:
    """A reason that counts how often it was asked and narrows L1 a little more each time."""

    key: str = "counter"
    memory_type: type[int] = int

    def initial(self, now_s: float) -> int:
        return 10

    def propose(self, memory: int, situation: Situation) -> tuple[int, Sequence[Proposal], Sequence[Event]]:
        told = [Event("counter.turned", "L1", "")] if memory == 11 else []
        return memory + 1, [Proposal(L1, 500.0 - memory, cause="counter")], told

    def dump(self, memory: int) -> Mapping[str, Any]:
        return {"count": memory}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> int:
        count = document["count"]
        if not 0 <= count < 1000:
            raise ValueError(f"count is {count}; expected 0…999")
        return int(count) if math.isfinite(gap_s) else 999


def test_every_reason_carries_its_memory_from_cycle_to_cycle() -> None:
    here = Situation(Snapshot(5.0, {}), None)  # type: ignore[arg-type]
    first, in_force, told = consider([Counter()], {}, here, ARBITER)
    assert (first, in_force.high[L1], told) == ({"counter": 11}, 490.0, [])
    second, in_force, told = consider([Counter()], first, here, ARBITER)
    assert (second, in_force.high[L1], [e.name for e in told]) == ({"counter": 12}, 489.0, ["counter.turned"])


def test_a_memory_comes_back_as_it_was() -> None:
    document = dump([Counter()], {"counter": 42})
    assert restore([Counter()], document, 60.0, 0.0) == ({"counter": 42}, [])


@pytest.mark.parametrize("gap_s", [math.nan, -1.0, -math.inf])
def test_an_unknown_or_negative_gap_is_told_to_the_reason_as_unknown(gap_s: float) -> None:
    assert restore([Counter()], {"counter": {"count": 42}}, gap_s, 0.0) == ({"counter": 999}, [])


REFUSED = [5, None, [], {}, {"count": "many"}, {"count": 1e9}, {"count": None}]


@pytest.mark.parametrize("part", REFUSED)
def test_a_part_that_makes_no_sense_is_told_and_starts_cautiously(part: object) -> None:
    kept, events = restore([Counter()], {"counter": part}, 1.0, 0.0)
    assert kept == {}
    assert [(e.name, e.subject) for e in events] == [("memory.refused", "counter")]


def test_what_no_reason_knows_is_left_out() -> None:
    assert restore([Counter()], {"old": {"count": 1}}, 1.0, 0.0) == ({}, [])


def test_the_record_shows_the_limit_in_force_and_its_cause() -> None:
    site = kit.site()
    _, record = step(site, initial_state(site), Snapshot(0.0, {}))
    assert {x.cause for x in record.limits} == {RATING}
    assert [x.high for x in record.limits] == [x.high for x in site.limits]
