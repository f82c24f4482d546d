"""Whatever the field says, every set point stays one that its unit may be given."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_kit import ClosedLoop, site_of

from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.domain.unit import Unit

BUSY_HOUR = {"demo_primary": 12.0, "secondary_rooftop": 12.0, "ev_charging": 18.2}
SETTLED_S = 120
VALUES = (math.nan, math.inf, -math.inf, 1e12, -1e12, 1e300, -1e300, 0.0, -0.0, 5e-324)


@cache
def settled(name: str) -> tuple[Site, ControlState, Snapshot]:
    """A site in a busy hour: state of the controller and the next snapshot."""
    run = ClosedLoop(name, BUSY_HOUR[name], seed=4, with_faults=False).run(SETTLED_S)
    state = run.loop.state
    taken: list[Snapshot] = []

    def spy(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
        taken.append(snapshot)
        return step(site, state, snapshot)

    run.loop._step = spy  # the loop has no other door to what a cycle saw
    run.run(1)
    return run.site, state, taken[0]


def altered(m: Measurement, how: int, now_s: float) -> Measurement:
    """One of the ways in which a reading can be wrong."""
    if how < len(VALUES):
        return Measurement(VALUES[how], Quality.GOOD, m.measured_at_s, m.received_at_s)
    kinds: list[Measurement] = [
        Measurement(-m.value, m.quality, m.measured_at_s, m.received_at_s),
        Measurement(1000.0 * m.value, m.quality, m.measured_at_s, m.received_at_s),
        Measurement(m.value, Quality.STALE, now_s - 60.0, m.received_at_s),
        Measurement(math.nan, Quality.BAD, m.measured_at_s, m.received_at_s),
        Measurement(m.value, Quality.GOOD, now_s - 1e6, now_s),
        Measurement(m.value, Quality.GOOD, now_s + 1e6, now_s + 1e6),
        Measurement(m.value, Quality.GOOD, -math.inf, now_s),
    ]
    return kinds[how - len(VALUES)]


WAYS = len(VALUES) + 7
faults = st.dictionaries(st.integers(0, 200), st.one_of(st.none(), st.integers(0, WAYS - 1)), max_size=40)


def spoiled(snapshot: Snapshot, now_s: float, how: Mapping[int, int | None]) -> Snapshot:
    """The snapshot at ``now_s``, freshly sampled, with the points at those places missing (None) or altered."""
    points: dict[str, Measurement] = {}
    for k, (name, m) in enumerate(sorted(snapshot.points.items())):
        fresh = Measurement(m.value * (1.0 + 1e-6 * now_s), m.quality, now_s, now_s, m.reason)
        if k not in how:
            points[name] = fresh
        elif (way := how[k]) is not None:
            points[name] = altered(fresh, way, now_s)
    return Snapshot(now_s, points)


def check(site: Site, record: CycleRecord, now_s: float) -> None:
    """Every unit has exactly one set point: finite, inside its range, with time to live and an owner."""
    assert [s.unit for s in record.setpoints] == [u.id for u in site.units]
    for s, unit in zip(record.setpoints, site.units, strict=True):
        assert math.isfinite(s.p_w), s
        assert math.isfinite(s.q_var), s
        assert inside(s.p_w, s.q_var, unit), f"{s} is outside {unit.p_min_w}…{unit.p_max_w}, ±{unit.q_max_var}"
        assert s.expires_at_s > now_s, s
        assert s.owner, s


NOISY = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def inside(p_w: float, q_var: float, unit: Unit) -> bool:
    return unit.p_min_w <= p_w <= unit.p_max_w and abs(q_var) <= unit.q_max_var


@NOISY
@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
@settings(max_examples=40)
@given(first=faults, second=faults, third=faults)
def test_no_snapshot_makes_a_set_point_that_a_unit_may_not_have(
    name: str, first: dict[int, int | None], second: dict[int, int | None], third: dict[int, int | None]
) -> None:
    site, state, snapshot = settled(name)
    for k, how in enumerate((first, second, third, {})):
        now_s = snapshot.now_s + 1.0 + k
        state, record = step(site, state, spoiled(snapshot, now_s, how))
        check(site, record, now_s)


@NOISY
@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
@settings(max_examples=15)
@given(how=faults)
def test_the_first_cycle_ever_may_see_anything(name: str, how: dict[int, int | None]) -> None:
    site, _, snapshot = settled(name)
    _, record = step(site, initial_state(site), spoiled(snapshot, 0.0, how))
    check(site, record, 0.0)


@NOISY
@pytest.mark.parametrize("way", range(WAYS))
@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
def test_every_reading_may_be_wrong_in_the_same_way_for_a_minute(name: str, way: int) -> None:
    site, state, snapshot = settled(name)
    everything = dict.fromkeys(range(len(snapshot.points)), way)
    for k in range(60):
        now_s = snapshot.now_s + 1.0 + k
        state, record = step(site, state, spoiled(snapshot, now_s, everything))
        check(site, record, now_s)


@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
def test_a_site_that_hears_nothing_any_more_ends_at_its_safe_set_points(name: str) -> None:
    site, state, snapshot = settled(name)
    for k in range(1, 10):
        state, record = step(site, state, Snapshot(snapshot.now_s + k, {}))
        if k > site.cycle.fail_safe_s:
            assert [s.p_w for s in record.setpoints] == [u.fail_safe.p_w for u in site.units]
            assert record.mode.value == "fail_safe"


@pytest.mark.parametrize("jump_s", [0.0, 1e-9, 3600.0, 1e7])
def test_time_may_stand_still_or_leap(jump_s: float) -> None:
    site, state, snapshot = settled("demo_primary")
    now_s = snapshot.now_s + jump_s
    for _ in range(3):
        state, record = step(site, state, spoiled(snapshot, now_s, {}))
        check(site, record, now_s)


@NOISY
@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
def test_the_same_inputs_give_the_same_records_bit_for_bit(name: str) -> None:
    site, _, snapshot = settled(name)

    def once() -> bytes:
        state, records = initial_state(site), []
        for k in range(20):
            state, record = step(site, state, spoiled(snapshot, float(k), {k: k % WAYS, 3 * k: None}))
            records.append(record)
        return pickle.dumps(records)

    assert once() == once()


def test_a_whole_run_is_the_same_twice() -> None:
    runs = [ClosedLoop("demo_primary", 12.0, seed=9).run(90).records for _ in range(2)]
    assert pickle.dumps(runs[0]) == pickle.dumps(runs[1])


def test_a_step_leaves_the_state_that_it_was_given_untouched() -> None:
    """Frozen in, frozen out: the same state may be stepped twice."""
    site, state, snapshot = settled("demo_primary")
    before = pickle.dumps((state.estimator, state.history, state.set_p_w, state.set_q_var, state.held))
    _, first = step(site, state, spoiled(snapshot, snapshot.now_s + 1.0, {}))
    _, second = step(site, state, spoiled(snapshot, snapshot.now_s + 1.0, {}))
    assert pickle.dumps((state.estimator, state.history, state.set_p_w, state.set_q_var, state.held)) == before
    assert pickle.dumps(first) == pickle.dumps(second)


def with_one(snapshot: Snapshot, now_s: float, point: str, value: float) -> Snapshot:
    """Freshly sampled, and one reading is that value, with good quality."""
    good = spoiled(snapshot, now_s, {})
    wrong = Measurement(value, Quality.GOOD, now_s, now_s)
    return Snapshot(now_s, {**good.points, point: wrong})


@NOISY
@pytest.mark.parametrize("value", [1e12, -1e12, 3.4e38])
@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
def test_one_absurd_reading_of_a_flow_is_forgotten_within_a_minute(name: str, value: float) -> None:
    site, state, snapshot = settled(name)
    point = next(p for p in sorted(snapshot.points) if p.startswith("branch.") and p.endswith(".p_w"))
    spiked = calm = state
    for k in range(60):
        now_s = snapshot.now_s + 1.0 + k
        good = spoiled(snapshot, now_s, {})
        spiked, after = step(site, spiked, with_one(snapshot, now_s, point, value) if k == 0 else good)
        calm, expected = step(site, calm, good)
    for mine, theirs in zip(after.limits, expected.limits, strict=True):
        near = max(0.02 * theirs.high, 0.01 * abs(theirs.value))
        assert mine.value == pytest.approx(theirs.value, abs=near), mine.id


def test_a_blown_fuse_of_a_voltage_transformer_is_not_believed() -> None:
    site, state, snapshot = settled("ev_charging")
    places = {k: VALUES.index(0.0) for k, name in enumerate(sorted(snapshot.points)) if name.endswith("u_v")}
    for k in range(60):
        state, record = step(site, state, spoiled(snapshot, snapshot.now_s + 1.0 + k, places))
    believed = [x for x in record.limits if x.kind == "voltage" and x.value < 0.5 * x.high]
    assert not believed


def test_sites_are_known_by_name() -> None:
    assert {site_of(name).name for name in BUSY_HOUR} == set(BUSY_HOUR)
