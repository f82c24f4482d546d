"""Frozen values survive a file to the last bit, and a file cannot build anything that was not asked for."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.recording.codec import CodecError, from_tree, to_tree
from controller.recording.patch import difference, patched, same


class Colour(Enum):
    """A kind by name."""

    RED = "red"


class Level(IntEnum):
    """A kind by number."""

    HIGH = 2


@dataclass(frozen=True, slots=True)
class Inner:
    """Something with a default."""

    w: float
    note: str = "none"


@dataclass(frozen=True, slots=True)
class Outer:
    """One field of every kind."""

    inner: Inner
    maybe: Inner | None
    number: int
    flag: bool
    colour: Colour
    level: Level
    pair: tuple[str, float]
    many: tuple[Inner, ...]
    by_name: Mapping[str, tuple[float, ...]]
    by_pair: Mapping[tuple[str, str], int]
    names: frozenset[tuple[str, str]]
    array: NDArray[np.float64]
    at: datetime
    day: date
    lasted: timedelta


OUTER = Outer(
    Inner(-0.0), None, 3, True, Colour.RED, Level.HIGH, ("a", 1.5), (Inner(1.0), Inner(math.inf, "x")),
    {"b": (1.0,), "a": ()}, {("x", "y"): 1}, frozenset({("q", "r"), ("a", "b")}), np.arange(6.0).reshape(2, 3),
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), date(2026, 1, 2), timedelta(seconds=1.25),
)  # fmt: skip


def through_file(expected: object, value: object) -> object:
    """What a reader of the written text gets."""
    return from_tree(expected, json.loads(json.dumps(to_tree(value), allow_nan=False)))


@given(st.floats(allow_nan=False))
def test_a_float_keeps_every_bit(number: float) -> None:
    back = through_file(float, number)
    assert isinstance(back, float)
    assert struct.pack("<d", back) == struct.pack("<d", number)


def test_a_value_that_is_none_of_a_number_stays_so() -> None:
    assert math.isnan(through_file(float, math.nan))  # type: ignore[arg-type]
    assert through_file(tuple[float, ...], (math.inf, -math.inf)) == (math.inf, -math.inf)


def test_every_kind_of_field_comes_back() -> None:
    back = through_file(Outer, OUTER)
    assert isinstance(back, Outer)
    assert np.array_equal(back.array, OUTER.array)
    assert to_tree(back) == to_tree(OUTER)
    assert list(back.by_name) == ["b", "a"]  # in the order of the original, which a loop may depend on
    assert back.names == OUTER.names
    assert math.copysign(1.0, back.inner.w) == -1.0


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float64, np.int64, np.int32, np.bool_])
def test_an_array_keeps_its_kind_and_which_way_it_lies_in_memory(order: str, kind: type) -> None:
    array = np.array([[1, 0, 3], [0, 5, 6]], dtype=kind, order=order)  # type: ignore[call-overload]
    back = through_file(NDArray[np.float64], array)
    assert isinstance(back, np.ndarray)
    assert back.dtype == array.dtype
    assert back.strides == array.strides
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


def test_what_is_left_out_is_supplied_by_the_reader() -> None:
    tree = to_tree(OUTER, leave_out=(Inner,))
    assert tree["inner"] is None
    with_given = from_tree(Outer, tree | {"many": [None]}, given={Inner: Inner(7.0)})
    assert with_given.inner == Inner(7.0)
    assert with_given.many == (Inner(7.0),)


@pytest.mark.parametrize(
    ("expected", "tree", "complaint"),
    [
        (Inner, {"w": 1.0, "amps": 2.0}, "Inner has amps; this version does not know them"),
        (Inner, {"note": "x"}, "Inner lacks w"),
        (Inner, {"w": "many"}, "w is 'many'; expected a number"),
        (Inner, {"w": True}, "expected a number"),
        (Inner, [1.0], "expected the fields of Inner"),
        (tuple[float, ...], "abc", "expected a list"),
        (tuple[str, float], ["a"], "expected 2 items"),
        (int, 1.0, "expected a whole number"),
        (Colour, "blue", "'blue' is not a valid Colour"),
        (Inner | None, 5, "expected the fields of Inner"),
        (datetime, "yesterday", "expected datetime"),
        (NDArray[np.float64], {"dtype": "O", "shape": [1], "order": "C", "data": ""}, "expected ndarray"),
        (NDArray[np.float64], {"dtype": "f8", "shape": [3], "order": "C", "data": "AAAAAAAAAAA="}, "reshape"),
        (object, 1, "cannot be read from a recording"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(expected: object, tree: object, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint):
        from_tree(expected, tree)


def test_a_value_of_unknown_kind_is_not_written() -> None:
    with pytest.raises(CodecError, match="a function cannot be recorded"):
        to_tree({"f": lambda: None})


LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2, allow_nan=False) | st.sampled_from(["", "a"])
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@given(TREES, TREES)
def test_a_patch_turns_the_one_tree_into_the_other(before: object, now: object) -> None:
    kept = json.dumps(before)
    patch = difference(before, now)
    after = patched(before, json.loads(json.dumps(patch)))
    assert difference(after, now) is None
    assert json.dumps(after, sort_keys=True) == json.dumps(now, sort_keys=True)
    assert json.dumps(before) == kept


def test_a_patch_holds_only_what_changed() -> None:
    before = {"units": [{"p_w": 1.0, "q_var": 2.0}, {"p_w": 3.0, "q_var": 4.0}], "seq": 1}
    now = {"units": [{"p_w": 1.0, "q_var": 2.0}, {"p_w": 3.5, "q_var": 4.0}], "seq": 1}
    assert difference(before, now) == {"units": {"1": {"p_w": [3.5]}}}


@pytest.mark.parametrize("patch", [{"a": [1]}, {"9": [1]}, [1, 2], {"x": {"y": [1]}}])
def test_a_patch_of_something_else_is_refused(patch: object) -> None:
    with pytest.raises(CodecError, match="patch"):
        patched([1.0, 2.0], patch)  # type: ignore[arg-type]


def test_zero_has_a_sign_and_one_is_not_true() -> None:
    assert not same(0.0, -0.0)
    assert not same(1, True)
    assert not same(1, 1.0)
    assert same("nan", "nan")
