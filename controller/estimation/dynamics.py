"""Dead time, lag and ramp of every unit as they really are, learned from commands and what they made of the output.

A grid of candidate models runs beside every unit, each with the data sheet's times and ramps multiplied by factors of
its own. Whenever the candidates disagree, a reading tells them apart: each is charged its squared prediction error,
with forgetting. What is believed is the mean of the candidates weighted by exp(−charge / 2) (Bayesian multiple-model
estimation, Magill 1965). The candidates start with a handicap: slower than the data sheet costs little and is believed
within a move, faster costs what only many moves can make up for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.actuator import CommandHistory, Stride, UnitArrays, follow, held_w

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FACTORS = (0.6, 1.0, 1.6, 2.5)  # of dead time and of lag
RAMPS = (0.5, 1.0)  # of both ramps
SUBSTEPS = 2
SLOWER_HANDICAP = 6.0  # of a candidate one factor slower in dead time and lag; half of it more where they differ
FASTER_HANDICAP = 300.0  # of one that is faster in either
SIGMA_FRAC = 0.01  # of rated power: prediction error of a right model (sensor, timing)
ERROR_MAX = 4.0  # sigmas beyond which an error is no worse: one outlier proves nothing
SPREAD_FRAC = 0.03  # of rated power: where the candidates differ by less, a reading says nothing
FORGET = 0.99  # per telling reading
SLOWER_FRAC, SLOWER_S = 1.3, 0.5  # of dead time plus lag, and by at least so much: slower than configured
AGAIN_FRAC = 0.5  # of that excess: with less the unit keeps its data sheet again


@dataclass(frozen=True, slots=True)
class Dynamics:
    """Per candidate and unit (c, n): cap in force or power, and charge; ``kept`` the charge when last at ease.

    ``t_s`` is the time of the models, ``latency_frac``/``tau_frac``/``ramp_frac`` (n,) what is believed now,
    ``slower`` units that clearly miss their data sheet. A move that is not done proves nothing: belief changes when a
    unit is at ease again.
    """

    t_s: float
    p: Array
    charge: Array
    kept: Array
    latency_frac: Array
    tau_frac: Array
    ramp_frac: Array
    slower: BoolArray

    def of(self, units: UnitArrays) -> UnitArrays:
        """The units as they are believed to be."""
        return units.paced(self.latency_frac, self.tau_frac, self.ramp_frac)

    def slowest(self, units: UnitArrays) -> UnitArrays:
        """The same, nowhere faster than configured: what excuses a unit that is late."""
        latency, tau = np.maximum(self.latency_frac, 1.0), np.maximum(self.tau_frac, 1.0)
        return units.paced(latency, tau, np.minimum(self.ramp_frac, 1.0))


class DynamicsModels:
    """The candidates of one site's units."""

    def __init__(self, units: UnitArrays) -> None:
        grid = np.array([(a, b, r) for a in FACTORS for b in FACTORS for r in RAMPS])
        self.units, self.latency, self.tau, self.ramp = units, grid[:, :1], grid[:, 1:2], grid[:, 2:]
        self._factors = np.ascontiguousarray(grid.T)
        self.candidates = units.paced(self.latency, self.tau, self.ramp)
        # Candidates of one dead time hear the same command: it is looked up once for all of them.
        self._latencies_s = np.array(FACTORS)[:, None] * units.latency_s
        self._hears = np.repeat(np.arange(len(FACTORS)), len(grid) // len(FACTORS))
        self._every = np.arange(len(units.sign))
        self._near_w = SPREAD_FRAC * units.p_rated_w
        self._sigma_w = SIGMA_FRAC * units.p_rated_w
        steps = np.log(grid[:, :2]) / np.log(FACTORS[2])
        most, extra = steps.max(axis=1), np.abs(steps[:, 0] - steps[:, 1])
        slower = SLOWER_HANDICAP * (np.maximum(most, 0.0) + 0.5 * extra + 2.0 * (grid[:, 2] < 1.0))
        handicap = slower + FASTER_HANDICAP * (steps < 0.0).any(axis=1)
        self.handicap = np.repeat(handicap[:, None], len(units.sign), axis=1)

    def initial(self, now_s: float) -> Dynamics:
        """As configured."""
        open_p = np.where(self.units.is_battery, 0.0, self.units.p_rated_w)
        one, none = np.ones(len(open_p)), np.zeros_like(self.handicap)
        models = np.repeat(open_p[None, :], len(self.handicap), axis=0)
        return Dynamics(now_s, models, none, none, one, one, one, one < 0.0)

    def update(
        self, before: Dynamics, to_s: float, history: CommandHistory, measured_w: Array, avail_w: Array,
        able: BoolArray, late_s: Array | float = 0.0,
    ) -> Dynamics:  # fmt: skip
        """Move all models to ``to_s`` and charge them with what was read then (load convention, NaN = nothing new).

        ``late_s`` is how old the readings were even then: the models are kept that far behind.

        ``avail_w`` is what a unit says it could give (magnitude, NaN = unknown); only units that are ``able`` to
        follow are learned from, and what one that turns out deaf seemed to teach is taken back.
        """
        if to_s <= before.t_s:
            return before
        p = self._moved(before, to_s, history, measured_w, late_s)
        charge, surprise = self._charged(before, p, measured_w, avail_w, able)
        best = (charge + self.handicap).argmin(axis=0), self._every
        command = history.p_w[-1] * self.units.way
        rested = able & (np.abs(surprise[best]) < self._near_w) & (np.abs(p[best] - command) < self._near_w)
        rested &= (charge != before.kept).any(axis=0)
        kept = np.where(rested, charge, before.kept)
        moved = replace(before, t_s=to_s, p=p, charge=np.where(able, charge, before.kept), kept=kept)
        return self._believed(moved, rested) if some(rested) else moved

    def _moved(
        self, before: Dynamics, to_s: float, history: CommandHistory, measured_w: Array, late_s: Array | float
    ) -> Array:
        """All models at ``to_s``."""
        p, dt_s = before.p, (to_s - before.t_s) / SUBSTEPS
        holds_w = held_w(self.units, np.where(np.isfinite(measured_w), measured_w, np.inf))
        stride = Stride.of(self.candidates, dt_s)
        at_s = before.t_s + np.arange(1, SUBSTEPS + 1)[:, None, None] * dt_s - (self._latencies_s + late_s)
        told, _ = history.in_force(at_s)
        for target in (told * self.units.way).take(self._hears, axis=1):
            p = follow(p, target, stride, holds_w)
        return p

    def _believed(self, now: Dynamics, rested: BoolArray) -> Dynamics:
        """What the charges say about the units that are at ease after a move."""
        total = now.charge + self.handicap
        weight = np.exp(-0.5 * (total - total.min(axis=0)))
        weight /= weight.sum(axis=0)
        latency, tau, ramp = self._factors @ weight
        units = self.units
        sheet_s = units.latency_s + units.tau_p_s
        excess_s = latency * units.latency_s + tau * units.tau_p_s - sheet_s
        much_s = np.maximum((SLOWER_FRAC - 1.0) * sheet_s, SLOWER_S)
        late = excess_s > np.where(now.slower, AGAIN_FRAC * much_s, much_s)
        return replace(
            now,
            latency_frac=np.where(rested, latency, now.latency_frac),
            tau_frac=np.where(rested, tau, now.tau_frac),
            ramp_frac=np.where(rested, ramp, now.ramp_frac),
            slower=np.where(rested, late, now.slower),
        )

    def _charged(
        self, before: Dynamics, p: Array, measured_w: Array, avail_w: Array, able: BoolArray
    ) -> tuple[Array, Array]:
        """Charges after this reading, and how far it was from what each candidate predicted (NaN = nothing new)."""
        units = self.units
        measured = measured_w * units.way
        could = np.where(units.is_battery | ~np.isfinite(avail_w), np.inf, avail_w)
        predicted = np.minimum(p, could)
        spread = predicted.max(axis=0) - predicted.min(axis=0)
        telling: BoolArray = able & np.isfinite(measured) & (spread > self._near_w)
        error = measured - predicted
        # A unit that does not say what it has may fall on its own: that it is low says nothing about its pace.
        error = np.where(np.isfinite(could) | units.is_battery, error, np.maximum(error, 0.0))
        if not some(telling):
            return before.charge, error
        sigmas = np.minimum(np.abs(error) / self._sigma_w, ERROR_MAX)
        charged = FORGET * before.charge + sigmas**2
        charged = charged - charged.min(axis=0)
        return np.where(telling, charged, before.charge), error
