"""Dead time, lag and ramp are learned from what units do: slower soon, faster late, from the deaf nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.domain.site import Site
from controller.domain.unit import Actuator, UnitKind
from controller.estimation.actuator import CommandHistory, Stride, UnitArrays, follow, held_w
from controller.estimation.dynamics import Dynamics, DynamicsModels

NOISE_FRAC = 0.004  # of rated power, one sigma: what a plant's own meter is worth
FINE_S = 0.05
ACTUATOR = Actuator(latency_s=0.6, tau_p_s=1.5, tau_q_s=0.5, ramp_up_w_per_s=1e6, ramp_down_w_per_s=1e6)


def site(kind: UnitKind) -> Site:
    return kit.site((kit.unit("U", kind, "BB", 2e6, actuator=ACTUATOR),))


class Watched:
    """One exact unit with its own times, told things, and the models that watch it once a second."""

    def __init__(self, kind: UnitKind, latency: float, tau: float, ramp: float = 1.0, seed: int = 5) -> None:
        self.units = UnitArrays.of(site(kind))
        self.truth = replace(
            self.units,
            latency_s=latency * self.units.latency_s,
            tau_p_s=tau * self.units.tau_p_s,
            ramp_up_w_per_s=ramp * self.units.ramp_up_w_per_s,
            ramp_down_w_per_s=ramp * self.units.ramp_down_w_per_s,
        )
        start = np.where(self.units.is_battery, 0.0, self.units.p_rated_w)
        self.p, self.now_s, self.deaf = start, 0.0, False
        self.history = CommandHistory(np.array([-np.inf]), (start * self.units.sign)[None, :], np.zeros((1, 1)))
        self.heard = self.history
        self.models = DynamicsModels(self.units)
        self.dynamics: Dynamics = self.models.initial(0.0)
        self.rng = np.random.default_rng(seed)

    def told(self, p_w: float, for_s: int, avail_w: float = np.nan, able: bool = True) -> Watched:
        """A set point, and the seconds that follow."""
        self.history = self.history.append(self.now_s, np.array([p_w]), np.zeros(1))
        if not self.deaf:
            self.heard = self.heard.append(self.now_s, np.array([p_w]), np.zeros(1))
        for _ in range(for_s):
            self._second(avail_w, able)
        return self

    def _second(self, avail_w: float, able: bool) -> None:
        for _ in range(round(1.0 / FINE_S)):
            self.now_s += FINE_S
            command, _ = self.heard.in_force(self.now_s - self.truth.latency_s)
            stride, holds_w = Stride.of(self.truth, FINE_S), held_w(self.truth, self.output_w(avail_w))
            self.p = follow(self.p, command * self.truth.way, stride, holds_w)
        read = self.output_w(avail_w) + NOISE_FRAC * self.units.p_rated_w * self.rng.standard_normal(1)
        self.dynamics = self.models.update(
            self.dynamics, self.now_s, self.history, read, np.array([avail_w]), np.array([able])
        )

    def output_w(self, avail_w: float) -> np.ndarray:
        """Its power now, load convention."""
        could = np.where(np.isfinite(avail_w), avail_w, np.inf)
        return np.where(self.units.is_battery, self.p, np.minimum(self.p, could) * self.units.sign)

    def delay_frac(self) -> float:
        """Identified dead time plus lag, as a fraction of the configured."""
        now = self.dynamics.of(self.units)
        return float((now.latency_s + now.tau_p_s)[0] / (ACTUATOR.latency_s + ACTUATOR.tau_p_s))


def moves(run: Watched, levels_w: Sequence[float], avail_w: float = np.nan) -> Watched:
    for level in levels_w:
        run.told(level, 14, avail_w)
    return run


TWO_MOVES = (1.0e6, -1.0e6)


@pytest.mark.parametrize("kind", [UnitKind.BATTERY, UnitKind.PV])
@pytest.mark.parametrize("factor", [1.3, 1.6, 2.2])
def test_a_slower_unit_is_known_after_two_moves(kind: UnitKind, factor: float) -> None:
    run = Watched(kind, factor, factor)
    levels = TWO_MOVES if kind is UnitKind.BATTERY else (-0.5e6, -1.6e6)
    moves(run, levels, 2e6)
    assert run.delay_frac() == pytest.approx(factor, rel=0.25)
    assert bool(run.dynamics.slower[0]) is (factor > 1.3 or run.delay_frac() > 1.3)


def test_a_unit_that_keeps_its_data_sheet_is_believed_to() -> None:
    run = moves(Watched(UnitKind.BATTERY, 1.0, 1.0), TWO_MOVES * 10)
    assert run.delay_frac() == pytest.approx(1.0, abs=0.05)
    assert not run.dynamics.slower[0]


def test_a_faster_unit_is_believed_only_after_many_moves() -> None:
    run = moves(Watched(UnitKind.BATTERY, 0.6, 0.6), TWO_MOVES)
    assert run.delay_frac() >= 0.99
    moves(run, TWO_MOVES * 15)
    assert run.delay_frac() < 0.8  # a look a second cannot tell a third of a second of dead time from lag


def test_a_ramp_of_half_the_data_sheet_is_seen_where_it_binds() -> None:
    run = moves(Watched(UnitKind.BATTERY, 1.0, 1.0, ramp=0.5), (2e6, -2e6, 2e6))
    assert float(run.dynamics.ramp_frac[0]) < 0.6
    assert run.dynamics.of(run.units).latency_s[0] == pytest.approx(ACTUATOR.latency_s, rel=0.2)


def test_a_unit_that_turns_out_deaf_has_taught_nothing() -> None:
    run = moves(Watched(UnitKind.BATTERY, 1.0, 1.0), TWO_MOVES)
    before = run.delay_frac()
    run.deaf = True
    run.told(1.5e6, 6)  # nobody knows yet
    run.told(1.5e6, 30, able=False)
    run.deaf = False
    run.told(-1.0e6, 20, able=False)
    run.told(-1.0e6, 5)
    assert run.delay_frac() == pytest.approx(before, abs=0.02)


def test_a_farm_whose_wind_falls_is_not_taken_for_a_fast_one() -> None:
    """It does not say what it has, so that it is below its cap says nothing."""
    run = Watched(UnitKind.WIND, 1.0, 1.0)
    for _ in range(20):
        run.told(-1.0e6, 8, np.nan)
        run.p = np.array([0.2e6])
        run.told(-2.0e6, 8, np.nan)
    assert run.delay_frac() >= 0.99


def test_what_excuses_a_late_unit_is_never_less_than_its_data_sheet() -> None:
    run = moves(Watched(UnitKind.BATTERY, 0.6, 0.6), TWO_MOVES * 16)
    excused = run.dynamics.slowest(run.units)
    assert excused.latency_s[0] >= ACTUATOR.latency_s
    assert excused.tau_p_s[0] >= ACTUATOR.tau_p_s
