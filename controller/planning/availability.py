"""How much more or less power a unit could draw from now on and keep up for a while: what there is to sell.

``up`` is less consumption or more generation, ``down`` the opposite, as in OpenADR's UP_ and DOWN_REGULATION_AVAILABLE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.domain.unit import Storage, Unit

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Availability:
    """Changes of power against now, magnitudes, W."""

    up_w: float
    down_w: float


NONE = Availability(0.0, 0.0)


def availability(unit: Unit, p_w: float, p_avail_w: float, soc_frac: float, for_s: float) -> Availability:
    """What the unit can do otherwise than ``p_w`` (load convention) for ``for_s``.

    ``p_avail_w`` is what it could generate, or what plugged-in vehicles or a process ask for (its sign does not
    matter); of a storage the content counts instead (``soc_frac`` of its rated energy). What nobody knows (NaN) is
    not there. Raises ValueError for a time that is not above 0.
    """
    if not 0.0 < for_s < math.inf:
        raise ValueError(f"availability for {for_s} s; expected more than 0")
    if not math.isfinite(p_w):
        return NONE
    low_w, high_w = _range_w(unit, p_w, p_avail_w, soc_frac, for_s)
    return Availability(max(p_w - low_w, 0.0), max(high_w - p_w, 0.0))


def sustained_range_w(storage: Storage, soc_frac: float, for_s: float) -> tuple[float, float]:
    """Least and most power (load convention) that the content allows for so long; (0, 0) when it is not known."""
    if not math.isfinite(soc_frac):
        return 0.0, 0.0
    hours = for_s / HOUR_S
    out_wh = max(soc_frac - storage.soc_min_frac, 0.0) * storage.e_rated_wh * storage.eff_discharge_frac
    in_wh = max(storage.soc_max_frac - soc_frac, 0.0) * storage.e_rated_wh / storage.eff_charge_frac
    return -out_wh / hours, in_wh / hours


def _range_w(unit: Unit, p_w: float, p_avail_w: float, soc_frac: float, for_s: float) -> tuple[float, float]:
    """Least and most power that the unit can keep up; of what is not known, no more than it does now."""
    if unit.storage is not None:
        low_w, high_w = sustained_range_w(unit.storage, soc_frac, for_s)
        return max(low_w, unit.p_min_w), min(high_w, unit.p_max_w)
    most_w = abs(p_avail_w) if math.isfinite(p_avail_w) else abs(p_w)
    if unit.kind.generates:
        return max(-most_w, unit.p_min_w), min(0.0, unit.p_max_w)
    return max(0.0, unit.p_min_w), min(most_w, unit.p_max_w)
