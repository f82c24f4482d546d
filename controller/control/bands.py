"""The tuning's shares of every resource's and unit's rating in W and var, computed once per site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.resources import Resources
from controller.control.tuning import Tuning
from controller.estimation.actuator import UnitArrays

Array = NDArray[np.float64]

FULL_FRAC = 0.995  # of the rating: a cap above it is none
SAFE_KEPT_FRAC, SAFE_MORE_FRAC = 0.3, 1.6  # of the smallest slack: how far a free unit's cap may be from what it needs
FALLS_FRAC = 0.3  # of the dead-band: a cap falls sooner than it rises
ASKS_FRAC = 0.02  # of its reactive power: from here on a unit's reactive power has a reason


@dataclass(frozen=True, slots=True)
class Bands:
    """By resource, W: from ``full_w`` on a cap is none, ``smallest_w`` is the least slack, ``kept_w`` and ``more_w``
    how far below and above its need a free unit's cap stays as it is, ``still_w`` and ``falls_w`` the dead-bands of
    caps that rise and fall, ``small_w`` moves that wait while all is quiet, ``free_w`` and ``creep_w`` noise.

    By unit: ``still_unit_w`` dead-band of batteries, ``q_var`` reactive power (never 0), ``q_reason_var`` what of it
    has a reason.
    """

    full_w: Array
    smallest_w: Array
    kept_w: Array
    more_w: Array
    still_w: Array
    falls_w: Array
    small_w: Array
    free_w: Array
    creep_w: Array
    still_unit_w: Array
    q_var: Array
    q_reason_var: Array

    @staticmethod
    def of(r: Resources, units: UnitArrays, t: Tuning) -> Bands:
        """Those of one site."""
        smallest_w, still_w = t.slack_min_frac * r.rated_w, t.deadband_p_frac * r.rated_w
        q_var = np.maximum(units.q_max_var, 1.0)
        return Bands(
            full_w=FULL_FRAC * r.rated_w,
            smallest_w=smallest_w,
            kept_w=SAFE_KEPT_FRAC * smallest_w,
            more_w=SAFE_MORE_FRAC * smallest_w,
            still_w=still_w,
            falls_w=FALLS_FRAC * still_w,
            small_w=np.where(r.is_storage, t.quiet_storage_frac, t.quiet_move_frac) * r.rated_w,
            free_w=t.free_frac * r.rated_w,
            creep_w=t.limited_frac * r.rated_w,
            still_unit_w=t.deadband_p_frac * units.p_rated_w,
            q_var=q_var,
            q_reason_var=ASKS_FRAC * q_var,
        )
