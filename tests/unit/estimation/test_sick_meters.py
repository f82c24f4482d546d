"""Meters that are a few percent wrong: every limit is kept on the worse of two, at little cost, and the event says who.

One row per fault: seconds over the transformer's rating once it had time to be noticed, and power given up, against a
station whose meters are honest.
"""

from __future__ import annotations

from functools import cache

import core_kit as kit
import pytest
from lying_kit import Lie, Lying, factor

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
