"""The states of EREC G100 Issue 2, as tables of situations: when an excursion counts, when it locks, who may reset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.limits.g100.scheme import Course, Stage, observe, reset, until_reset_s

HOUR_S, DAY_S = 3600.0, 86_400.0


def after(*spans: tuple[float, bool | None], start_s: float = 0.0) -> tuple[Course, float]:
    """The course after spans of (seconds, over the limit or not), at one look a second, and the instant then."""
    course, now_s = Course(), start_s
    for seconds, over in spans:
        for _ in range(round(seconds)):
            course = observe(course, over, now_s)
            now_s += 1.0
    return course, now_s


# spans of (s, over), stage at the end, counted excursions
STAGES = [
    (((3600.0, False),), Stage.NORMAL, 0),
    (((1.0, True),), Stage.EXCURSION, 0),
    (((15.0, True),), Stage.EXCURSION, 0),
    (((16.0, True),), Stage.EXCURSION, 1),
    (((16.0, True), (1.0, False)), Stage.NORMAL, 1),
    (((60.0, True),), Stage.EXCURSION, 1),
    (((61.0, True),), Stage.LOCKED, 1),
    (((16.0, True), (500.0, False), (16.0, True)), Stage.LOCKED, 2),
    (((16.0, True), (500.0, False), (15.0, True)), Stage.EXCURSION, 1),
    (((16.0, True), (700.0, False), (16.0, True)), Stage.EXCURSION, 2),
    (((16.0, True), (700.0, False)) * 3, Stage.NORMAL, 3),
    (((16.0, True), (700.0, False)) * 3 + ((16.0, True),), Stage.LOCKED, 4),
    (((16.0, True), (8.0 * HOUR_S, False)) * 3 + ((16.0, True),), Stage.EXCURSION, 3),
    (((14.0, True), (2.0, False)) * 200, Stage.NORMAL, 0),
    (((40.0, True), (1.0, None), (40.0, True)), Stage.LOCKED, 2),
    (((50.0, True), (1.0, None), (14.0, True)), Stage.EXCURSION, 1),
    (((61.0, True), (DAY_S, False)), Stage.LOCKED, 0),
]


@pytest.mark.parametrize(("spans", "stage", "counted"), STAGES)
def test_excursions_count_and_lock_as_the_recommendation_says(
    spans: tuple[tuple[float, bool | None], ...], stage: Stage, counted: int
) -> None:
    course, _ = after(*spans)
    assert (course.stage, len(course.counted_at_s)) == (stage, counted)


LOCKED = Course(locked_at_s=0.0, why="one excursion of 60 s")

# premises, installer, seconds since the lock-out, resets before (s ago), allowed
RESETS = [
    (True, False, 1.0, (), True),
    (True, False, 1.0, (DAY_S, 2 * DAY_S), True),
    (True, False, 1.0, (DAY_S, 2 * DAY_S, 3 * DAY_S), False),
    (True, False, 1.0, (DAY_S, 2 * DAY_S, 31 * DAY_S), True),
    (True, True, 1.0, (DAY_S, 2 * DAY_S, 3 * DAY_S), True),
    (False, False, 1.0, (), False),
    (False, False, 4 * HOUR_S - 1.0, (), False),
    (False, False, 4 * HOUR_S, (), True),
    (False, True, 1.0, (), True),
]


@pytest.mark.parametrize(("domestic", "installer", "since_s", "before_s", "allowed"), RESETS)
def test_a_lock_out_is_ended_only_by_those_who_may(
    domestic: bool, installer: bool, since_s: float, before_s: tuple[float, ...], allowed: bool
) -> None:
    course = Course(locked_at_s=0.0, why="x", resets_at_s=tuple(since_s - s for s in before_s))
    found, refused = reset(course, since_s, installer=installer, domestic=domestic, after_s=4 * HOUR_S)
    assert (found.stage is Stage.NORMAL, not refused) == (allowed, allowed)
    left_s = until_reset_s(course, since_s, domestic=domestic, after_s=4 * HOUR_S)
    assert installer or (left_s == 0.0) == allowed


def test_a_refused_reset_changes_nothing() -> None:
    found, refused = reset(LOCKED, 10.0, installer=False, domestic=False, after_s=4 * HOUR_S)
    assert found is LOCKED
    assert refused == "240 min of lock-out are left; an installer may end it before"


def test_a_scheme_that_is_not_locked_out_has_nothing_to_reset() -> None:
    assert reset(Course(), 0.0, installer=True, domestic=True, after_s=0.0) == (Course(), "it is not locked out")


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.sampled_from([True, False, None])), max_size=120))
def test_nothing_but_a_reset_ends_a_lock_out(steps: list[tuple[float, bool | None]]) -> None:
    course, now_s, locked = Course(), 0.0, False
    for dt_s, over in steps:
        now_s += dt_s
        course = observe(course, over, now_s)
        assert course.stage is Stage.LOCKED or not locked
        locked = course.stage is Stage.LOCKED


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.booleans()), max_size=120))
def test_a_limit_that_was_never_exceeded_for_fifteen_seconds_never_locks(steps: list[tuple[float, bool]]) -> None:
    course, now_s, since_s = Course(), 0.0, None
    for dt_s, over in steps:
        now_s += dt_s
        since_s = (now_s if since_s is None else since_s) if over else None
        over = over and since_s is not None and now_s - since_s < 15.0
        since_s = since_s if over else None
        course = observe(course, over, now_s)
    assert course.stage is not Stage.LOCKED
