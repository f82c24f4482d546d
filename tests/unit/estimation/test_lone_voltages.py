"""A voltage that one bus sees alone and for a moment is its meter's; what most buses see is the network's."""

from __future__ import annotations

from collections.abc import Callable

import core_kit as kit
import numpy as np
import pytest

from controller.control.engine import Engine
from controller.domain.snapshot import Snapshot
from controller.estimation.belief import COMMON_SAMPLES, LONE_SAMPLES
from controller.estimation.estimate import Estimate
from controller.estimation.estimator import EstimatorState

BUSES = ("bus.GRID.u_v", "bus.BB.u_v", "bus.N1.u_v", "bus.N2.u_v")
N1 = BUSES.index("bus.N1.u_v")


class Seen:
    """An estimator before which voltages read wrongly for a while."""

    def __init__(self) -> None:
        self.site = kit.site(kit.two_units())
        self.plant, self.engine = kit.Plant(self.site, {"WIND": 4e6, "PV": 3e6}), Engine(self.site)
        self.memory: EstimatorState = self.engine.estimator.initial(0.0)
        self.history = kit.initial_state(self.site).history

    def look(self, factor: Callable[[str], float], without: Callable[[str], bool] = lambda _: False) -> Estimate:
        """One cycle in which points read ``factor`` times what they are; those ``without`` are not read at all."""
        values = {n: m.value * factor(n) for n, m in self.plant.snapshot(without).points.items()}
        seen: Snapshot = kit.snapshot_of(self.plant.now_s, values)
        held = np.zeros(2, dtype=bool)
        self.memory, estimate = self.engine.estimator.update(self.memory, seen, self.history, held)
        self.plant.move(1.0)
        return estimate


def settled() -> tuple[Seen, float]:
    run = Seen()
    for _ in range(20):
        estimate = run.look(lambda _: 1.0)
    return run, float(estimate.bus_u_v[N1])


def halved(*names: str) -> Callable[[str], float]:
    return lambda name: 0.5 if name in names else 1.0


@pytest.mark.parametrize("samples", [1, 2, LONE_SAMPLES - 1])
def test_a_few_wrong_voltages_of_one_bus_in_a_row_move_nothing(samples: int) -> None:
    run, before_v = settled()
    for _ in range(samples):
        assert run.look(halved(BUSES[N1])).bus_u_v[N1] == pytest.approx(before_v, rel=1e-3)
    assert run.look(halved()).bus_u_v[N1] == pytest.approx(before_v, rel=1e-3)


def test_a_bus_that_insists_is_believed_even_when_it_is_read_every_third_cycle_only() -> None:
    run, before_v = settled()
    for _ in range(LONE_SAMPLES):
        estimate = run.look(lambda name: 0.85 if name == BUSES[N1] else 1.0)
        for _ in range(2):
            run.look(halved(), without=lambda name: name == BUSES[N1])
    assert estimate.bus_u_v[N1] < 0.9 * before_v


def test_half_of_what_the_other_buses_have_is_never_believed_and_counts_as_missing_in_the_end() -> None:
    run, before_v = settled()
    for _ in range(LONE_SAMPLES + 20):
        estimate = run.look(halved(BUSES[N1]))
        assert estimate.bus_u_v[N1] == pytest.approx(before_v, rel=5e-3)
    assert estimate.bus_age_s[N1] > 5.0
    assert estimate.meters["meter.wrong_scale", "bus.N1"].startswith("reads 0.50 times")
    assert "meter.wrong_scale" not in {name for name, _ in run.look(halved()).meters}


def test_what_most_buses_see_is_believed_with_the_second_sample() -> None:
    run, before_v = settled()
    for _ in range(COMMON_SAMPLES):
        estimate = run.look(halved(*BUSES))
    assert estimate.bus_u_v[N1] < 0.8 * before_v
