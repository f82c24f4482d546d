"""Meters that are a few percent wrong: every limit is kept on the worse of two, at little cost, and the event says who.

One row per fault: seconds over the transformer's rating once it had time to be noticed, and power given up, against a
station whose meters are honest.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import core_kit as kit
import pytest
from lying_kit import Lie, Lying, factor

from controller.domain.limit import LimitKind

CYCLES, NOTICED_CYCLES = 60, 20
OVER_FRAC = 1.01
SITE = kit.site(kit.two_units(), limits=kit.limits()[:5])  # the transformer binds, not the export


def run_with(*lies: Lie) -> Lying:
    """A minute with more wind and sun than the transformer carries."""

    def lie(point: str, value: float, now_s: float) -> float:
        for one in lies:
            value = one(point, value, now_s)
        return value

    run = Lying(kit.Plant(SITE, {"WIND": 7e6, "PV": 6e6}), lie)
    run.run(CYCLES)
    return run


def given_up_w(run: Lying) -> float:
    """What wind and sun give up on average, once the fault had time to be noticed."""
    late = run.records[NOTICED_CYCLES:]
    return sum(u.curtailed_w for r in late for u in r.units if u.id in ("WIND", "PV")) / len(late)


@cache
def honest_w() -> float:
    return given_up_w(run_with())


def only(lie: Lie, *quantities: str) -> Lie:
    """The same lie, of these quantities alone."""
    return lambda point, value, now_s: lie(point, value, now_s) if point.rsplit(".", 1)[1] in quantities else value


ROWS = [
    # fault                                               given up at most, MW more   event                 subject
    ("ratio 3 % low", (factor("branch.T1", 0.97),), 0.15, "meter.contradiction", "GRID"),
    ("ratio 5 % low", (factor("branch.T1", 0.95),), 0.15, "meter.contradiction", "GRID"),
    ("ratio 10 % low", (factor("branch.T1", 0.9),), 0.15, "meter.contradiction", "GRID"),
    ("P, Q 5 % low", (only(factor("branch.T1", 0.95), "p_w", "q_var"),), 0.15, "meter.above_estimate", "branch.T1"),
    ("interface 5 % low", (factor("interface", 0.95),), 0.15, "meter.contradiction", "GRID"),
    ("ratio 5 % high", (factor("branch.T1", 1.05),), 0.65, "meter.contradiction", "GRID"),
    ("feeder 10 % low", (factor("branch.L1", 0.9),), 0.15, "meter.contradiction", "N1"),
]


@pytest.mark.parametrize(("fault", "lies", "more_mw", "event", "subject"), ROWS, ids=[r[0] for r in ROWS])
def test_a_meter_a_few_percent_off_breaks_no_limit_and_costs_little(
    fault: str, lies: tuple[Lie, ...], more_mw: float, event: str, subject: str
) -> None:
    run = run_with(*lies)
    over_s = sum(x > OVER_FRAC for x in run.worst_frac[NOTICED_CYCLES:])
    assert over_s == 0, f"{fault}: {over_s} s over, up to {max(run.worst_frac[NOTICED_CYCLES:]):.3f}"
    assert given_up_w(run) - honest_w() < 1e6 * more_mw, fault
    assert subject in [x for _, x in run.events(event)]


def test_honest_meters_are_counted_at_what_they_read() -> None:
    run = run_with()
    assert max(run.worst_frac[NOTICED_CYCLES:]) > 0.98
    assert not [e for r in run.records for e in r.events if e.name.startswith("meter.")]


def test_the_event_names_the_factor_and_whom_it_was_compared_with() -> None:
    run = run_with(factor("branch.T1", 0.95))
    texts = [e.text for r in run.records for e in r.events if e.name == "meter.contradiction"]
    assert texts == [texts[0]]
    assert "branch.T1 reads 0.95 times what interface says" in texts[0]


def test_an_export_limit_holds_behind_an_interface_meter_that_reads_low() -> None:
    plant = kit.Plant(kit.site(kit.two_units()), {"WIND": 7e6, "PV": 6e6})
    run = Lying(plant, factor("interface", 0.95))
    run.run(NOTICED_CYCLES)
    export_w = []
    for _ in range(CYCLES - NOTICED_CYCLES):
        run.run(1)
        export_w.append(-plant.truth()["interface.p_w"])
    assert max(export_w) < OVER_FRAC * 9e6
    assert max(export_w) > 0.96 * 9e6  # kept, not switched off


def voltage(bus: str, k: float) -> Lie:
    """One voltage meter reads ``k`` times the truth."""
    return lambda point, value, _: k * value if point == f"bus.{bus}.u_v" else value


def highest_v_pu(lie: Lie) -> tuple[Lying, float]:
    """The farms' buses by the plant's own truth when wind and sun rise over a band that they could leave.

    Before that little flows: what a meter reads too low then is no drop.
    """
    run = Lying(kit.Plant(kit.site(kit.two_units(), limits=NARROW), {"WIND": 1e6, "PV": 1e6}), lie)
    run.run(NOTICED_CYCLES)
    run.plant.available_w |= {"WIND": 7e6, "PV": 6e6}
    highest = 0.0
    for _ in range(CYCLES - NOTICED_CYCLES):
        run.run(1)
        truth = run.plant.truth()
        highest = max(highest, *(truth[f"bus.{bus}.u_v"] / 11e3 for bus in ("N1", "N2")))
    return run, highest


BAND_HIGH_PU = 1.015
NARROW = tuple(replace(x, high=BAND_HIGH_PU * 11e3) if x.kind is LimitKind.VOLTAGE else x for x in kit.limits()[:5])
VOLTAGE_ROWS = [
    # fault                bus   factor    event                subject
    ("3 % low", "N1", 0.97, "meter.voltage_off", "bus.N1"),
    ("1.5 % low", "N1", 0.985, "meter.voltage_off", "bus.N1"),
    ("3 % high", "N2", 1.03, "meter.voltage_off", "bus.N2"),
    ("phase to earth", "N1", 3.0**-0.5, "meter.wrong_scale", "bus.N1"),
]


@pytest.mark.parametrize(("fault", "bus", "k", "event", "subject"), VOLTAGE_ROWS, ids=[r[0] for r in VOLTAGE_ROWS])
def test_a_voltage_meter_that_contradicts_its_neighbours_breaks_no_limit(
    fault: str, bus: str, k: float, event: str, subject: str
) -> None:
    run, highest_pu = highest_v_pu(voltage(bus, k))
    assert highest_pu < BAND_HIGH_PU + 0.001, fault
    assert [x for _, x in run.events(event)] == [subject]


def test_a_narrow_band_is_used_when_its_meters_are_honest() -> None:
    run, highest_pu = highest_v_pu(lambda _, value, __: value)
    assert BAND_HIGH_PU - 0.005 < highest_pu < BAND_HIGH_PU + 0.001
    assert not run.events("meter.voltage_off")
