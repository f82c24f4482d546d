"""Rows of every limit: on the safe side, in both directions, with a margin that age only widens."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.engine import Engine
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import Bus, Line, Load
from controller.estimation.estimate import Estimate
from controller.limits.base import QUALITIES, Rows, no_rows, quality_of, stack, unseen_frac
from controller.limits.in_force import Arbiter
from controller.limits.interface import InterfaceLimits
from controller.limits.thermal import TANGENTS_DEG, ThermalLimits
from controller.limits.voltage import VoltageLimits

I_MAX_A = 500.0
L1 = Limit("L1.thermal", LimitKind.THERMAL, "L1", I_MAX_A)
N1 = Limit("N1.voltage", LimitKind.VOLTAGE, "N1", 11.66e3, 10.34e3)
EXPORT = Limit("export", LimitKind.EXPORT, "interface", 9e6)
IMPORT = Limit("import", LimitKind.IMPORT, "interface", 5e6)


def estimate_of(site: Site) -> tuple[Engine, Estimate]:
    """The estimate after some quiet seconds at the kit's station."""
    loop = kit.Loop(kit.Plant(site, {"WIND": 3e6, "PV": 2e6, "HUB": 0.3e6}))
    loop.run(10)
    engine = loop.state.engine
    assert loop.state.estimator is not None
    _, estimate = engine.estimator.update(
        loop.state.estimator, loop.plant.snapshot(), loop.state.history, loop.state.held
    )
    return engine, estimate


SITE = kit.site(limits=(L1, N1, EXPORT, IMPORT))
ENGINE, BASE = estimate_of(SITE)
THERMAL, VOLTAGE, INTERFACE = ThermalLimits(SITE), VoltageLimits(SITE), InterfaceLimits(SITE)
RATED = Arbiter(SITE.limits).narrow(())


def with_current(ip_a: float, iq_a: float, **changes: object) -> Estimate:
    """The base estimate with that current in L1."""
    ip, iq = BASE.branch_ip_a.copy(), BASE.branch_iq_a.copy()
    ip[0], iq[0] = ip_a, iq_a
    return replace(BASE, branch_ip_a=ip, branch_iq_a=iq, **changes)  # type: ignore[arg-type]


def moves_of_current(estimate: Estimate) -> np.ndarray:
    """Injections (columns) that move L1's current by 1 A in phase and 1 A lagging."""
    grid, k, n = estimate.grid, ENGINE.grid.injection_index("N1"), ENGINE.grid.n_injection
    rows = [grid.jacobian[grid.rows_branch(name)][0] for name in ("i_p_a", "i_q_a")]
    small = np.array([[row[k], row[n + k]] for row in rows])
    out = np.zeros((2 * n, 2))
    out[[k, n + k]] = np.linalg.inv(small)
    return out


def allowed(rows: Rows, estimate: Estimate, to_p_a: float, to_q_a: float) -> bool:
    """Whether the rows let L1's current go to that phasor."""
    by_a = np.array([to_p_a - estimate.branch_ip_a[0], to_q_a - estimate.branch_iq_a[0]])
    return bool((rows.sensitivity @ (moves_of_current(estimate) @ by_a) <= rows.room + 1e-9).all())


angles = st.floats(-math.pi, math.pi)


@settings(max_examples=100)
@given(now_a=st.floats(10.0, 700.0), now_rad=angles, to_frac=st.floats(0.0, 0.999), to_rad=angles)
def test_the_tangents_never_forbid_a_current_inside_the_circle(
    now_a: float, now_rad: float, to_frac: float, to_rad: float
) -> None:
    estimate = with_current(now_a * math.cos(now_rad), now_a * math.sin(now_rad))
    rows = THERMAL.evaluate(estimate, RATED)
    radius = to_frac * (1.0 - THERMAL.margin_a(estimate)[0] / I_MAX_A) * I_MAX_A
    assert allowed(rows, estimate, radius * math.cos(to_rad), radius * math.sin(to_rad))


WORST_BY_TURN_DEG = [(6.0, 1.0 / math.cos(math.radians(6.0))), (30.0, 1.0 / math.cos(math.radians(9.0)))]
WORST_BY_TURN_DEG += [(90.0, 1.0 / math.cos(math.radians(15.0)))]


@settings(max_examples=100)
@given(now_a=st.floats(10.0, 700.0), now_rad=angles, turn_deg=st.floats(-90.0, 90.0))
def test_a_current_outside_is_forbidden_but_for_the_corners_of_the_tangents(
    now_a: float, now_rad: float, turn_deg: float
) -> None:
    """0.55 % within 6 degrees of the present direction, 1.3 % within 30, 3.6 % within 90."""
    estimate = with_current(now_a * math.cos(now_rad), now_a * math.sin(now_rad))
    worst = next(over for turn, over in WORST_BY_TURN_DEG if abs(turn_deg) <= turn)
    radius = 1.0001 * worst * (1.0 - THERMAL.margin_a(estimate)[0] / I_MAX_A) * I_MAX_A
    to_rad = now_rad + math.radians(turn_deg)
    assert not allowed(
        THERMAL.evaluate(estimate, RATED), estimate, radius * math.cos(to_rad), radius * math.sin(to_rad)
    )


def test_the_corners_of_the_tangents_are_where_they_are_said_to_be() -> None:
    order = sorted(TANGENTS_DEG)
    halves = [0.5 * (b - a) for a, b in itertools.pairwise(order)]
    assert max(1.0 / math.cos(math.radians(h)) for h in halves) == pytest.approx(1.0353, abs=1e-4)
    assert order[0] == -90.0
    assert order[-1] == 90.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_forward_and_reverse_power_heat_alike(sign: float) -> None:
    estimate = with_current(sign * 450.0, 0.0)
    rows = THERMAL.evaluate(estimate, RATED)
    more = moves_of_current(estimate) @ np.array([sign, 0.0])
    assert rows.room[0] == pytest.approx(1.0 - THERMAL.margin_a(estimate)[0] / I_MAX_A - 0.9)
    assert (rows.sensitivity @ more)[0] == pytest.approx(1.0 / I_MAX_A, rel=1e-6)
    assert THERMAL.readings(estimate, RATED).loading_frac[0] == pytest.approx(0.9)


def test_an_overload_leaves_negative_room_and_says_so() -> None:
    estimate = with_current(-600.0, 0.0)
    assert THERMAL.evaluate(estimate, RATED).room[0] < -0.2
    assert THERMAL.readings(estimate, RATED).worst_frac[0] > 1.2


def test_a_current_read_above_all_explanation_counts_in_full() -> None:
    excess = np.zeros(len(BASE.branch_ip_a))
    excess[0] = 40.0
    calm, alarmed = with_current(400.0, 0.0), with_current(400.0, 0.0, branch_excess_a=excess)
    assert THERMAL.evaluate(calm, RATED).room[0] - THERMAL.evaluate(alarmed, RATED).room[0] == pytest.approx(
        40.0 / I_MAX_A
    )


def test_where_more_is_unknown_than_the_limit_no_current_is_aimed_at_and_none_the_other_way() -> None:
    """Less current than none cannot be asked for: whoever tried would be sent back from there in the next cycle."""
    at = with_current(80.0, 60.0, branch_sigma_a=np.full_like(BASE.branch_sigma_a, 2.0 * I_MAX_A))
    rows = THERMAL.evaluate(at, RATED)
    aimed_a = (rows.room * I_MAX_A)[rows.main]
    assert aimed_a == pytest.approx([-100.0])
    without = THERMAL.evaluate(with_current(0.0, 0.0, branch_sigma_a=at.branch_sigma_a), RATED)
    assert without.room == pytest.approx(np.zeros(len(without.room)))


def test_each_limit_has_one_main_row_along_the_present_direction() -> None:
    rows = THERMAL.evaluate(with_current(-300.0, 200.0), RATED)
    assert rows.main.tolist() == [True] + [False] * (len(TANGENTS_DEG) - 1)
    assert rows.room[0] == rows.room.min()


def test_units_are_no_lever_on_a_line_that_only_feeds_demand() -> None:
    """They move its current by its voltage, by a thousandth: an overload there would call for all of them, in vain."""
    grid = kit.topology()
    village = replace(
        grid,
        buses=(*grid.buses, Bus("N3", 11e3)),
        lines=(*grid.lines, Line("L3", "BB", "N3", 0.4, 0.5, 2e-6, 50.0)),
        loads=(*grid.loads, Load("VILLAGE", "N3", 1e6, 2e5, 0.0, 2e6)),
    )
    site = kit.site(topology=village, limits=(L1, Limit("L3.thermal", LimitKind.THERMAL, "L3", 50.0)))
    engine, estimate = estimate_of(site)
    rows = ThermalLimits(site).evaluate(estimate, Arbiter(site.limits).narrow(()))
    moves = estimate.grid.jacobian[estimate.grid.rows_branch("i_p_a")][2]
    at_units = engine.layout.unit_bus[engine.layout.unit_bus >= 0]
    assert moves[at_units].any(), "the network model knows it"
    assert not rows.sensitivity[rows.limit == 1].any()
    assert rows.sensitivity[rows.limit == 0][0, engine.grid.injection_index("N1")] != 0.0


def with_voltage(u_v: float, **changes: object) -> Estimate:
    """The base estimate with that voltage at N1."""
    u = BASE.bus_u_v.copy()
    u[2] = u_v
    return replace(BASE, bus_u_v=u, **changes)  # type: ignore[arg-type]


def test_both_edges_of_the_band_are_rows_and_injection_pushes_toward_one_of_them() -> None:
    estimate = with_voltage(11.5e3)
    rows = VOLTAGE.evaluate(estimate, RATED)
    margin = VOLTAGE.margin_v(estimate)[0]
    assert rows.room * 11e3 == pytest.approx([11.66e3 - 11.5e3 - margin, 11.5e3 - 10.34e3 - margin])
    generate = np.zeros(rows.sensitivity.shape[1])
    generate[ENGINE.grid.injection_index("N1")] = -1e6
    upper, lower = rows.sensitivity @ generate
    assert upper > 0.0
    assert lower == -upper
    assert rows.main.all()


@pytest.mark.parametrize(("u_v", "worst_sign"), [(11.6e3, 1.0), (10.4e3, -1.0)])
def test_the_worst_voltage_lies_toward_the_nearer_edge(u_v: float, worst_sign: float) -> None:
    estimate = with_voltage(u_v)
    reading = VOLTAGE.readings(estimate, RATED)
    assert reading.worst[0] - u_v == pytest.approx(worst_sign * VOLTAGE.margin_v(estimate)[0])
    assert reading.worst_frac[0] > reading.loading_frac[0] > 0.8


def test_an_edge_that_is_crossed_leaves_negative_room() -> None:
    assert VOLTAGE.evaluate(with_voltage(11.7e3), RATED).room[0] < 0.0
    assert VOLTAGE.evaluate(with_voltage(10.3e3), RATED).room[1] < 0.0


def with_interface(p_w: float, **changes: object) -> Estimate:
    return replace(BASE, interface_p_w=p_w, **changes)  # type: ignore[arg-type]


def test_export_limits_what_leaves_and_import_what_enters() -> None:
    estimate = with_interface(-8e6)
    rows, margin = INTERFACE.evaluate(estimate, RATED), INTERFACE.margin_w(estimate)
    assert rows.room * INTERFACE.scale_w == pytest.approx([9e6 - 8e6 - margin[0], 5e6 + 8e6 - margin[1]])
    generate = np.zeros(rows.sensitivity.shape[1])
    generate[ENGINE.grid.injection_index("N1")] = -1e6
    more_export, more_import = rows.sensitivity @ generate
    assert more_export > 0.0 > more_import


def test_reactive_power_is_no_lever_on_an_exchange_of_active_power() -> None:
    """It moves the losses: a limit that nothing else can keep would call for all of it, for next to nothing."""
    rows, n = INTERFACE.evaluate(with_interface(-10e6), RATED), ENGINE.layout.n_w
    assert rows.room[0] < 0.0
    assert not rows.sensitivity[:, n:].any()
    assert rows.sensitivity[:, :n].any()
    assert BASE.grid.jacobian[BASE.grid.rows_interface()][0][n:].any(), "the network has losses, and its model knows"


def test_readings_of_the_interface_count_in_the_direction_of_their_limit() -> None:
    readings = INTERFACE.readings(with_interface(-8e6), RATED)
    assert readings.limit.tolist() == [2, 3]
    assert readings.value.tolist() == [8e6, -8e6]
    assert readings.loading_frac == pytest.approx([8.0 / 9.0, 0.0])
    assert readings.worst[0] > readings.value[0]


ages = st.floats(0.0, 1e5)
sigmas = st.floats(0.0, 0.2)


@settings(max_examples=200)
@given(younger_s=ages, older_s=ages, sigma=sigmas)
def test_the_unseen_margin_only_grows_with_age(younger_s: float, older_s: float, sigma: float) -> None:
    young, old = sorted((younger_s, older_s))
    less, more = (float(unseen_frac(np.array([a]), 3.0, np.array([sigma]))[0]) for a in (young, old))
    assert 0.0 <= less <= more <= 0.25


@settings(max_examples=200)
@given(age_s=ages, sharper=sigmas, blunter=sigmas)
def test_the_unseen_margin_only_grows_when_less_is_known(age_s: float, sharper: float, blunter: float) -> None:
    low, high = sorted((sharper, blunter))
    less, more = (float(unseen_frac(np.array([age_s]), 3.0, np.array([s]))[0]) for s in (low, high))
    assert less <= more


def test_a_fresh_reading_has_no_unseen_margin_and_a_very_old_one_the_largest() -> None:
    assert unseen_frac(np.array([0.0, 3.0]), 3.0, np.array([0.0, 0.5])).tolist() == [0.0, 0.0]
    assert unseen_frac(np.array([1e4]), 3.0, np.array([0.5])).tolist() == [0.25]


def test_where_there_never_was_a_meter_the_deviation_of_the_estimate_is_the_margin() -> None:
    assert unseen_frac(np.array([np.inf]), 3.0, np.array([0.5])).tolist() == [0.0]


@settings(max_examples=50)
@given(age_s=st.floats(0.0, 1e4), more_s=st.floats(0.0, 1e4))
def test_an_older_reading_never_widens_a_limit(age_s: float, more_s: float) -> None:
    n = len(BASE.branch_age_s)
    young = replace(BASE, branch_age_s=np.full(n, age_s), interface_age_s=age_s)
    old = replace(BASE, branch_age_s=np.full(n, age_s + more_s), interface_age_s=age_s + more_s)
    for limit in (THERMAL, INTERFACE):
        assert (limit.evaluate(old, RATED).room <= limit.evaluate(young, RATED).room + 1e-12).all()


@settings(max_examples=50)
@given(factor=st.floats(1.0, 50.0))
def test_a_less_certain_estimate_never_widens_a_limit(factor: float) -> None:
    blunt = replace(
        BASE,
        branch_sigma_a=BASE.branch_sigma_a * factor,
        bus_sigma_v=BASE.bus_sigma_v * factor,
        interface_sigma_w=BASE.interface_sigma_w * factor,
    )
    for limit in (THERMAL, VOLTAGE, INTERFACE):
        assert (limit.evaluate(blunt, RATED).room <= limit.evaluate(BASE, RATED).room + 1e-12).all()


@pytest.mark.parametrize(
    ("age_s", "sigma", "quality"),
    [
        (0.0, 0.5, "measured"),
        (3.0, 0.0, "measured"),
        (3.1, 0.01, "estimated"),
        (3.1, 0.02, "worst_case"),
        (math.inf, 0.5, "worst_case"),
    ],
)
def test_quality_says_how_a_limit_is_known(age_s: float, sigma: float, quality: str) -> None:
    assert QUALITIES[quality_of(np.array([age_s]), 3.0, np.array([sigma]))[0]] == quality


def test_a_site_without_limits_has_no_rows() -> None:
    bare = kit.site(limits=())
    width = BASE.grid.jacobian.shape[1]
    for kind in (ThermalLimits, VoltageLimits, InterfaceLimits):
        assert kind(bare).evaluate(BASE, RATED).sensitivity.shape == (0, width)
        assert kind(bare).readings(BASE, RATED).limit.shape == (0,)
    assert stack([], width).room.shape == (0,)
    assert no_rows(width).main.shape == (0,)


def test_stacked_rows_keep_their_limits() -> None:
    parts = [x.evaluate(BASE, RATED) for x in (THERMAL, VOLTAGE, INTERFACE)]
    rows = stack(parts, BASE.grid.jacobian.shape[1])
    assert rows.limit.tolist() == [0] * len(TANGENTS_DEG) + [1, 1, 2, 3]
    assert len(rows.room) == len(rows.main) == len(rows.sensitivity) == len(rows.limit)
