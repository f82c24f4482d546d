"""Room handed out to free units: never more than there is, and as evenly as it goes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from controller.control.caps import share_room

shapes = st.tuples(st.integers(0, 6), st.integers(1, 7))
effect = st.one_of(st.just(0.0), st.floats(1e-9, 1e-6))


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Room per row (per unit, may be negative), effects per W, wishes in W (some none)."""
    m, n = draw(shapes)
    room = draw(arrays.arrays(float, m, elements=st.floats(-0.2, 0.5)))
    worsening = draw(arrays.arrays(float, (m, n), elements=effect))
    wish = draw(arrays.arrays(float, n, elements=st.one_of(st.just(0.0), st.floats(1.0, 1e7))))
    return room, worsening, wish


@settings(max_examples=300)
@given(problems())
def test_all_together_never_exceed_the_room_of_any_row(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    room, worsening, wish = problem
    share = share_room(room, worsening, wish)
    assert (share >= 0.0).all()
    assert (share <= wish * (1.0 + 1e-12)).all()
    assert (worsening @ share <= np.maximum(room, 0.0) + 1e-9).all()


@settings(max_examples=300)
@given(problems())
def test_nobody_could_have_more_without_somebody_who_has_less_losing(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Max-min fair: whoever is short of its wish meets a full row in which nobody got a larger part of its own."""
    room, worsening, wish = problem
    share = share_room(room, worsening, wish)
    part = np.divide(share, wish, out=np.ones_like(wish), where=wish > 0.0)
    full = np.maximum(room, 0.0) - worsening @ share <= 1e-9
    for k in np.flatnonzero((part < 1.0 - 1e-9) & (wish > 0.0)):
        stopped_by = np.flatnonzero(full & (worsening[:, k] > 0.0))
        largest = [part[(worsening[row] > 0.0) & (wish > 0.0)].max() for row in stopped_by]
        assert min(largest, default=np.inf) <= part[k] + 1e-6


def test_without_rows_everybody_has_its_wish() -> None:
    assert share_room(np.empty(0), np.empty((0, 2)), np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_a_row_without_room_stops_only_those_who_would_worsen_it() -> None:
    share = share_room(np.array([-0.1]), np.array([[1e-6, 0.0]]), np.array([1e5, 1e5]))
    assert share.tolist() == [0.0, 1e5]


def test_a_tight_row_stops_its_own_and_the_rest_goes_on() -> None:
    room, worsening = np.array([0.1, 0.9]), np.array([[1e-6, 0.0], [1e-6, 1e-6]])
    share = share_room(room, worsening, np.array([1e6, 1e6]))
    assert np.allclose(share, [1e5, 8e5], rtol=1e-9)
