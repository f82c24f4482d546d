"""Reactive power that is ordered and not given: nobody counts on it, others take over, no limit gets wider by it."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.control.engine import Engine
from controller.control.reactive_orders import without_sudden_q
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.limits.base import Rows

NARROW_V = 1.005 * 11e3  # 6 MW at N1 need reactive power, or have to give way


def narrow_site() -> Site:
    """The wind farm's voltage binds; the solar farm stands beside it, so that either may help the other."""
    wind, pv = kit.two_units()
    limits = [x for x in kit.limits() if x.kind is LimitKind.THERMAL]
    return kit.site(
        (wind, replace(pv, bus="N1", q_max_var=0.5e6)),
        limits=(*limits, Limit("N1.voltage", LimitKind.VOLTAGE, "N1", NARROW_V, 10e3)),
    )


def running(deaf_to_q: set[str]) -> kit.Loop:
    loop = kit.Loop(kit.Plant(narrow_site(), {"WIND": 5e6, "PV": 1e6}))
    loop.plant.deaf_to_q |= deaf_to_q
    return loop


def over_v(loop: kit.Loop, cycles: int) -> list[float]:
    """How far the true voltage at N1 is over its limit, cycle by cycle, V."""
    out = []
    for _ in range(cycles):
        loop.run(1)
        out.append(loop.plant.truth()["bus.N1.u_v"] - NARROW_V)
    return out


def told(loop: kit.Loop) -> list[str]:
    return [e.name for r in loop.records for e in r.events if e.name in ("unit.deaf_to_q", "unit.gives_q")]


def test_the_voltage_is_kept_by_others_when_a_unit_gives_no_reactive_power() -> None:
    loop = running({"WIND"})
    over = over_v(loop, 120)
    assert max(over[25:]) < 0.0, f"over by {max(over[25:]):.1f} V at {25 + int(np.argmax(over[25:]))} s"
    assert told(loop) == ["unit.deaf_to_q"]
    assert -loop.plant.p_w("WIND") > 2.5e6  # and it is not thrown away either


def test_it_is_counted_on_again_when_it_answers() -> None:
    loop = running({"WIND"})
    loop.run(90)
    without_w = loop.plant.p_w("WIND") + loop.plant.p_w("PV")
    loop.plant.deaf_to_q.clear()
    over = over_v(loop, 90)
    assert told(loop) == ["unit.deaf_to_q", "unit.gives_q"]
    assert loop.plant.p_w("WIND") + loop.plant.p_w("PV") < without_w - 0.5e6  # generation is negative: more of it
    assert max(over) < 0.002 * 11e3


def test_nothing_is_accused_where_everybody_gives_what_it_is_told() -> None:
    loop = running(set())
    over = over_v(loop, 90)
    assert max(over[15:]) < 0.0
    assert not told(loop)
    assert max(abs(q) for q in loop.plant.q_var.values()) > 0.5e6  # and it was asked for


@given(
    room=st.lists(st.floats(-0.2, 0.5), min_size=3, max_size=3),
    by_q=st.lists(st.floats(-1e-6, 1e-6), min_size=6, max_size=6),
    order_var=st.lists(st.floats(-2e6, 2e6), min_size=2, max_size=2),
    deaf=st.lists(st.booleans(), min_size=2, max_size=2),
)
def test_orders_that_nobody_obeys_never_widen_a_limit_and_never_break_one(
    room: list[float], by_q: list[float], order_var: list[float], deaf: list[bool]
) -> None:
    engine = Engine(kit.site(kit.two_units()))
    plant = kit.Plant(engine.site, {"WIND": 1e6, "PV": 1e6})
    _, estimate = engine.estimator.update(
        engine.estimator.initial(0.0), plant.snapshot(), kit.initial_state(engine.site).history, np.zeros(2, bool)
    )
    rows = Rows(np.arange(3), np.zeros((3, 6)), np.array(room), np.ones(3, bool))
    estimate = replace(estimate, deaf_q=np.array(deaf))
    after = without_sudden_q(rows, np.array(by_q).reshape(3, 2), estimate, np.array(order_var)).room
    assert (after <= rows.room).all()
    assert (after >= np.minimum(rows.room, 0.0)).all()


def q_var(loop: kit.Loop, unit_id: str) -> float:
    return next(s.q_var for s in loop.records[-1].setpoints if s.unit == unit_id)


def test_others_take_over_before_a_lost_unit_s_lease_ends_and_its_reactive_power_with_it() -> None:
    loop = running(set())
    loop.plant.available_w["WIND"] = 3.5e6
    loop.run(60)
    assert loop.plant.q_var["WIND"] > 0.5e6, "the wind farm was to hold the voltage down"
    before_var, before_w = q_var(loop, "PV"), loop.plant.p_w("PV")
    loop.run(3, without=lambda name: name.startswith("unit.WIND."))
    assert loop.state.recovery.lost.tolist() == [True, False]
    assert q_var(loop, "PV") > before_var + 0.3e6
    assert kit.of_unit(loop.records[-1], "PV") <= before_w  # nobody is cut for it
