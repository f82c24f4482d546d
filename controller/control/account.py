"""What a cycle tells of every limit and unit: numbers, status and reasons, put into words when somebody reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.control.explain import access_ranks, attributed, withheld_w
from controller.control.sold import sold_part
from controller.control.support_state import ALL_SAFE, causes_of_power
from controller.domain.command import Setpoint
from controller.domain.record import LimitState, Mode, UnitState
from controller.estimation.estimate import Estimate
from controller.limits.base import QUALITIES, Readings, as_lists

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.engine import Engine

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

BINDING = 1e-4  # shadow price from which on a limit counts as binding


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that the record's lines about limits and units are made from; ``shadow`` is per limit."""

    engine: Engine
    decision: Decision
    estimate: Estimate
    readings: Readings
    shadow: Array
    setpoints: tuple[Setpoint, ...]
    curtailed_w: Array
    held: BoolArray
    lost: BoolArray
    mode: Mode

    def limits(self) -> tuple[LimitState, ...]:
        """Every limit in the site's order."""
        engine, r, in_force = self.engine, self.readings, self.decision.in_force
        scale = engine.resources.price_scale * engine.resources.base_w / 1e6
        given_up_w = withheld_w(engine, self.decision).sum(axis=1)
        columns = as_lists(
            r.value, r.worst, in_force.high, in_force.low, r.loading_frac, r.worst_frac, r.quality,
            self.shadow, given_up_w,
        )  # fmt: skip
        return tuple(
            LimitState(
                limit.id, limit.kind.value, limit.element, value, worst, high, None if limit.low is None else low,
                loading, at_worst, QUALITIES[quality], price > BINDING, price * scale, cause, facts, given_up,
            )
            for limit, cause, facts, (value, worst, high, low, loading, at_worst, quality, price, given_up) in zip(
                engine.site.limits, in_force.cause, in_force.facts, columns, strict=True
            )
        )  # fmt: skip

    def units(self) -> tuple[UnitState, ...]:
        """Every unit in the site's order."""
        engine, e = self.engine, self.estimate
        causes = [causes_of_power(s.causes, self.decision) for s in self.setpoints]
        by_limit = withheld_w(engine, self.decision)
        withheld = attributed(engine, by_limit, self.curtailed_w, causes, sold_part(engine, self.decision))
        worth = self.decision.worth
        columns = as_lists(
            e.unit_p_w, e.unit_q_var, e.avail_w, e.soc_frac, self.curtailed_w, e.latency_s, e.tau_s,
            e.deaf, self.lost, self.held, worth.eur_per_mwh,
        )  # fmt: skip
        ranks = access_ranks(engine, self.decision)
        rows = zip(engine.site.units, self.setpoints, withheld, ranks, worth.cause, columns, strict=True)
        return tuple(
            UnitState(
                unit.id, unit.kind.value, p_w, q_var, avail_w, s.p_w, s.q_var, curtailed_w, soc,
                self._status(deaf, lost, held and bool(s.causes)), s.causes, why, rank, latency_s, tau_s,
                eur_per_mwh if cause else math.nan, cause,
            )
            for unit, s, why, rank, cause, (
                p_w, q_var, avail_w, soc, curtailed_w, latency_s, tau_s, deaf, lost, held, eur_per_mwh
            ) in rows
        )  # fmt: skip

    def _status(self, deaf: bool, lost: bool, held: bool) -> str:
        if lost:
            return "lost"
        if deaf:
            return "deaf"
        if self.mode in ALL_SAFE:
            return "safe"
        return "held" if held else "free"
