"""How fast the controller itself lets things move: contract ramps of units and of export, steps of voltage.

Only releases are slowed: moves up that no limit asks for. A move that relieves a limit without room is never touched,
and none of this ever makes a unit come down. References run ahead of what is measured at the permitted rate, and never
further than an obedient unit lags behind; so the ramp is kept at the unit, not only in its set point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.control.dispatch import Bounds, Effects
from controller.control.resources import Resources
from controller.domain.connection import MoveLimits
from controller.domain.limit import LimitKind
from controller.domain.masks import some
from controller.domain.site import Site
from controller.estimation.estimate import Estimate
from controller.limits.base import Rows

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LAGS = 3.0  # time constants that a unit may be behind its set point while it is ramped
DEAD_BANDS_FRAC = 0.008  # of the rating: what dead-bands of set points and writes keep back at most
EXPORT_AHEAD_S = 10.0
STEP_WINDOW_S = 60.0
SAMPLE_S = 5.0
RELIEF_FRAC = 0.01  # of a limit per power base: less is no relief


@dataclass(frozen=True, slots=True)
class Pace:
    """References (W): output that each resource may rise to, export that may be risen and fallen to; and the past.

    ``moved_frac`` is what the units have moved each watched bus by since the start, with the slopes of each moment;
    ``past_s`` and ``past_frac`` (samples, buses) the same in the last minute. ``p_w``, ``q_var``: units, one cycle ago.
    """

    rise_to_w: Array
    export_high_w: float
    export_low_w: float
    past_s: Array
    past_frac: Array
    moved_frac: Array
    p_w: Array
    q_var: Array


def initial_pace(resources: Resources, n_unit: int) -> Pace:
    """Nothing is known of the past: references begin at the first measurement."""
    unknown, none = np.full(n_unit, np.nan), np.empty(0)
    rise_to_w = np.full(len(resources.unit), np.inf)
    return Pace(rise_to_w, np.inf, -np.inf, none, np.empty((0, 0)), none, unknown, unknown)


class Paces:
    """Constants of one site; ``asked`` is False when its file limits no move."""

    def __init__(self, site: Site, resources: Resources, incidence: Array) -> None:
        moves: MoveLimits = site.connection.moves
        by_unit = dict(moves.unit_w_per_s)
        ramp = np.array([by_unit.get(u.id, np.inf) for u in site.units])
        self.moves, self.r, self.cycle_s, self.incidence = moves, resources, site.cycle.cycle_s, incidence
        self.ramp_w_per_s = ramp[resources.unit] if len(ramp) else np.empty(0)
        lag_s = resources.latency_s + LAGS * resources.tau_s + 2.0 * self.cycle_s
        ramped = np.isfinite(self.ramp_w_per_s)
        self.ahead_w = np.where(ramped, np.where(ramped, self.ramp_w_per_s, 0.0) * lag_s, np.inf)
        self.ahead_w = self.ahead_w + DEAD_BANDS_FRAC * resources.rated_w
        self.export_band_w = DEAD_BANDS_FRAC * float(resources.rated_w.sum())
        exports = np.isfinite(moves.export_up_w_per_s) or np.isfinite(moves.export_down_w_per_s)
        self.steps = bool(np.isfinite(moves.voltage_step_frac))
        watched = {x.element for x in site.limits if x.kind is LimitKind.VOLTAGE}
        buses = site.topology.buses
        self.bus = np.array([k for k, b in enumerate(buses) if b.id in watched], dtype=np.intp)
        self.rated_v = np.array([buses[k].u_rated_v for k in self.bus])
        self.asked = bool(some(ramped) or exports or self.steps)

    def advance(self, pace: Pace, estimate: Estimate, now_s: float) -> Pace:
        """The references one cycle on."""
        if not self.asked:
            return pace
        output, export = self.r.output_w(estimate.unit_p_w), -estimate.interface_p_w
        up, down = self.moves.export_up_w_per_s, self.moves.export_down_w_per_s
        rise = np.minimum(pace.rise_to_w, output + self.ahead_w) + self.ramp_w_per_s * self.cycle_s
        high = min(pace.export_high_w, export + up * EXPORT_AHEAD_S + self.export_band_w) + up * self.cycle_s
        low = max(pace.export_low_w, export - down * EXPORT_AHEAD_S - self.export_band_w) - down * self.cycle_s
        return self._with_past(replace(pace, rise_to_w=rise, export_high_w=high, export_low_w=low), estimate, now_s)

    def _with_past(self, pace: Pace, estimate: Estimate, now_s: float) -> Pace:
        """What the units have moved voltages by: every cycle's part by its own slopes, which bend on a long way."""
        if not self.steps:
            return pace
        by_p, by_q = self._slopes(estimate)
        begins = len(pace.past_s) == 0
        step = by_p @ (estimate.unit_p_w - pace.p_w) + by_q @ (estimate.unit_q_var - pace.q_var)
        moved = np.zeros(len(self.bus)) if begins else pace.moved_frac + step
        pace = replace(pace, moved_frac=moved, p_w=estimate.unit_p_w, q_var=estimate.unit_q_var)
        if not begins and now_s - pace.past_s[-1] < SAMPLE_S:
            return pace
        kept = now_s - pace.past_s <= STEP_WINDOW_S
        past = np.vstack([pace.past_frac[kept], moved]) if some(kept) else moved[None, :]
        return replace(pace, past_s=np.append(pace.past_s[kept], now_s), past_frac=past)

    def _slopes(self, estimate: Estimate) -> tuple[Array, Array]:
        """Of the watched buses' voltages, per unit, by the power of each unit: per W and per var."""
        n_w = self.incidence.shape[0]
        j = estimate.grid.jacobian[estimate.grid.rows_u()][self.bus] / self.rated_v[:, None]
        return j[:, :n_w] @ self.incidence, j[:, n_w:] @ self.incidence

    def slowed(
        self, bounds: Bounds, pace: Pace, estimate: Estimate, rows: Rows, effect: Effects, incidence: Array
    ) -> Bounds:
        """Bounds with releases no faster than allowed; moves that relieve a limit without room are left alone."""
        if not self.asked:
            return bounds
        free = _relieving(rows, effect, self.r)
        room = np.maximum(pace.rise_to_w - self.r.output_w(estimate.unit_p_w), 0.0)
        up = np.where(free, bounds.up_w, np.minimum(bounds.up_w, room))
        up = np.where(free, up, up * self._export_share(np.where(free, 0.0, up), pace, estimate, incidence))
        if self.steps:
            share = self._step_share(np.where(free, 0.0, up), pace, estimate)
            up = np.where(free, up, up * share)
        return replace(bounds, up_w=up)

    def _export_share(self, up_w: Array, pace: Pace, estimate: Estimate, incidence: Array) -> Array:
        """Share of each resource's rise that the ramp of export leaves, by the direction in which it moves export."""
        j = estimate.grid.jacobian[estimate.grid.rows_interface()][0][: incidence.shape[0]]
        effect = -(j @ incidence)[self.r.unit] * self.r.sign
        export = -estimate.interface_p_w
        rises, falls = float(np.maximum(effect, 0.0) @ up_w), float(np.maximum(-effect, 0.0) @ up_w)
        return np.where(
            effect > 0.0, _share(pace.export_high_w - export, rises), _share(export - pace.export_low_w, falls)
        )

    def _step_share(self, up_w: Array, pace: Pace, estimate: Estimate) -> float:
        """Share of all rises that keeps every bus within its step of the last minute."""
        by_p, _ = self._slopes(estimate)
        risen = pace.moved_frac - pace.past_frac.min(axis=0, initial=np.inf)
        fallen = pace.past_frac.max(axis=0, initial=-np.inf) - pace.moved_frac
        moves = by_p[:, self.r.unit] * self.r.sign
        most = self.moves.voltage_step_frac
        rises, falls = np.maximum(moves, 0.0) @ up_w, np.maximum(-moves, 0.0) @ up_w
        shares = [_share(most - max(float(a), 0.0), float(b)) for a, b in zip(risen, rises, strict=True)]
        shares += [_share(most - max(float(a), 0.0), float(b)) for a, b in zip(fallen, falls, strict=True)]
        return min(shares, default=1.0)

    def at_most(self, value_w: Array, pace: Pace, planned_w: Array) -> Array:
        """Set points (magnitudes) no further than their references, and never below what the dispatch has planned."""
        return np.minimum(value_w, np.maximum(pace.rise_to_w, planned_w)) if self.asked else value_w


def _share(room: float, wanted: float) -> float:
    """How much of ``wanted`` fits into ``room``, 0…1."""
    if wanted <= 0.0:
        return 1.0
    return min(max(room, 0.0) / wanted, 1.0)


def _relieving(rows: Rows, effect: Effects, r: Resources) -> BoolArray:
    """Resources whose rise relieves a limit that has no room."""
    short = rows.main & (rows.room < 0.0)
    return np.asarray((effect.by_resource[short] * r.base_w < -RELIEF_FRAC).any(axis=0))
