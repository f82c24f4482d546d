"""The escalation ladder of a site file in SI."""

from __future__ import annotations

import math

from controller.config.schema_escalation import EscalationModel, RungModel
from controller.domain.escalation import Rung, Rungs


def to_rungs(model: EscalationModel) -> Rungs:
    """Percent become fractions, minutes seconds."""
    return Rungs(
        trim=_rung("trim", model.trim),
        slow_trip=_rung("trip", model.slow_trip),
        fast_trip=_rung("trip", model.fast_trip),
        trip_all=_rung("trip_all", model.trip_all),
        calm_s=model.calm_s,
        step_s=model.step_s,
        reset_s=math.inf if model.reset_min is None else 60.0 * model.reset_min,
    )


def _rung(name: str, model: RungModel) -> Rung:
    return Rung(name, model.over_percent / 100.0, model.after_s)
