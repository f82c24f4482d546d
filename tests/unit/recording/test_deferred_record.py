"""What explains a cycle is put into words when somebody reads it, once, and then reads like any tuple."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace

from controller.domain.deferred import Deferred
from controller.domain.record import CycleRecord, Mode, UnitState
from controller.recording.codec import to_tree

UNIT = UnitState("PV", "pv", -1.0, 0.0, math.inf, -2.0, 0.0, 0.0, 0.5, "free", ())


def counted(made: list[int]) -> Deferred[int]:
    def make() -> tuple[int, ...]:
        made.append(1)
        return (7, 8, 9)

    return Deferred(make)


def test_nothing_is_made_until_somebody_reads_and_then_only_once() -> None:
    made: list[int] = []
    numbers = counted(made)
    assert made == []
    assert (numbers[0], numbers[1:], len(numbers), list(numbers)) == (7, (8, 9), 3, [7, 8, 9])
    assert made == [1]


def test_it_equals_the_tuple_that_it_reads_like() -> None:
    assert counted([]) == (7, 8, 9)
    assert counted([]) == counted([])
    assert counted([]) != (7, 8)
    assert counted([]) != [7, 8, 9]
    assert hash(counted([])) == hash((7, 8, 9))
    assert repr(counted([])) == "(7, 8, 9)"


def test_it_is_stored_and_copied_as_the_tuple() -> None:
    assert type(pickle.loads(pickle.dumps(counted([])))) is tuple
    assert type(copy.deepcopy(counted([]))) is tuple


def test_a_record_says_the_same_whether_its_lines_were_made_at_once_or_later() -> None:
    at_once = CycleRecord(1, 2.0, Mode.NORMAL, (), (UNIT,), (), ())
    later = replace(at_once, units=Deferred(lambda: (UNIT,)))
    assert later == at_once
    assert later.to_dict() == at_once.to_dict()
    assert to_tree(later) == to_tree(at_once)
