"""A meter whose P and Q contradict its V and I is told by name; unequal phases and honest meters are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.engine import Engine
from controller.domain.snapshot import Snapshot
from controller.estimation.apparent import LASTS_S, ApparentPower

Lie = Callable[[str, float], float]


def scaled(element: str, quantities: tuple[str, ...], factor: float) -> Lie:
    names = {f"{element}.{quantity}" for quantity in quantities}
    return lambda point, value: value * factor if point in names else value


class Said(kit.Loop):
    """The kit's loop with meters that change what they say."""

    def __init__(self, lie: Lie) -> None:
        super().__init__(kit.Plant(kit.site(), {"WIND": 7e6, "PV": 5e6, "HUB": 1e6}))
        original = self.plant.snapshot

        def snapshot(without: Callable[[str], bool] = lambda _: False) -> Snapshot:
            seen = original(without)
            points = {name: replace(m, value=lie(name, m.value)) for name, m in seen.points.items()}
            return replace(seen, points=points)

        self.plant.snapshot = snapshot  # type: ignore[method-assign]

    def told(self, name: str) -> list[tuple[float, str, str]]:
        return [(r.now_s, e.subject, e.text) for r in self.records for e in r.events if e.name == name]


@pytest.mark.parametrize(
    ("quantities", "factor"), [(("i_a",), 0.5), (("i_a",), 0.8), (("p_w", "q_var"), 1.3), (("p_w", "q_var"), 0.2)]
)
@pytest.mark.parametrize("element", ["branch.T1", "branch.L1"])
def test_a_meter_that_contradicts_itself_is_told_by_name(
    element: str, quantities: tuple[str, ...], factor: float
) -> None:
    run = Said(scaled(element, quantities, factor))
    run.run(30)
    ((at_s, subject, text),) = run.told("meter.inconsistent")
    assert subject == element
    assert at_s == pytest.approx(LASTS_S, abs=2.0)
    assert "kVA" in text


def test_its_limit_is_kept_on_the_more_dangerous_reading() -> None:
    for lie in (scaled("branch.L1", ("i_a",), 0.6), scaled("branch.L1", ("p_w", "q_var"), 0.3)):
        run = Said(lie)
        run.run(60)
        line = next(x for x in run.plant.site.limits if x.id == "L1.thermal")
        assert run.plant.truth()["branch.L1.i_a"] < 1.003 * line.high


def test_one_phase_that_carries_more_than_the_others_is_no_contradiction() -> None:
    """The current of the highest phase is up to three times that of a balanced line."""
    run = Said(scaled("branch.L2", ("i_a",), 1.8))
    run.run(60)
    assert run.told("meter.inconsistent") == []


def test_honest_meters_are_never_told_while_everything_moves() -> None:
    run, rng = Said(lambda _, value: value), np.random.default_rng(5)
    for _ in range(40):
        run.plant.available_w |= {"WIND": float(rng.uniform(0.0, 8e6)), "PV": float(rng.uniform(0.0, 6e6))}
        run.plant.town_w = float(rng.uniform(1e6, 4e6))
        run.run(5)
    assert run.told("meter.inconsistent") == [], "seed 5"


def test_what_was_not_read_together_says_nothing() -> None:
    engine = Engine(kit.site())
    check = ApparentPower(engine.layout)
    before, va_per_a = check.initial(), np.full(3, np.sqrt(3.0) * 11e3)
    rows, currents = np.full(6, 3e6), np.full(3, 10.0)
    lying = check.update(before, rows, currents, np.zeros(3), va_per_a, 1.0)
    assert np.isfinite(lying.since_s).all()
    apart = check.update(before, rows, currents, np.full(3, 0.5), va_per_a, 1.0)
    missing = check.update(before, rows, np.full(3, np.nan), np.zeros(3), va_per_a, 1.0)
    for state in (apart, missing):
        assert not np.isfinite(state.since_s).any()
    assert check.flags(lying, 1.0 + LASTS_S - 0.1) == {}
    assert len(check.flags(lying, 1.0 + LASTS_S)) == 3
