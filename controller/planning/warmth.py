"""How warm transformers are now, by what the station has stored of the control process's records, for a projection.

Only the control process follows the temperatures (IEC 60076-7); it publishes them with every limit. What is missing,
or makes no sense together, counts as nothing known: then the continuous rating holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import Transformer
from controller.physics.transformer_thermal import ThermalState
from controller.planning.calendar import QUARTER_S
from controller.planning.projection import Warm

Array = NDArray[np.float64]

FACTS = ("top_oil_c", "hot_spot_c", "rise_fast_k", "rise_slow_k", "ambient_c", "hot_spot_c_max", "proven")
"""What a transformer's limit publishes and the station stores, as ``limit.<id>.<fact>``."""
POSSIBLE = (-80.0, 300.0)
AGREES_K = 1.0  # hot spot against oil and rises: means over a few minutes agree to rounding
PROVEN_FRAC = 0.999  # of the last minutes
WARMS_S = 6.0 * 3600.0
"""From what is measured now the air is taken to become as hot as the month's design weather within so long."""


def warm_transformers(site: Site) -> Iterator[tuple[Transformer, Limit]]:
    """Those with thermal characteristics and a limit."""
    limits = {x.element: x for x in site.limits if x.kind is LimitKind.THERMAL}
    for transformer in site.topology.transformers:
        if transformer.thermal is not None and transformer.id in limits:
            yield transformer, limits[transformer.id]


def points_of_warmth(site: Site) -> list[str]:
    """Every stored point that is read of them."""
    return [f"limit.{limit.id}.{fact}" for _, limit in warm_transformers(site) for fact in FACTS]


def warmth_of(site: Site, recent: Mapping[str, float], at_utc_s: float, quarters: int) -> dict[str, Warm]:
    """What is known of every transformer's temperatures, by id, and the air over so many quarter hours."""
    out = {}
    for transformer, limit in warm_transformers(site):
        found = {fact: recent.get(f"limit.{limit.id}.{fact}", math.nan) for fact in FACTS}
        state = ThermalState(found["top_oil_c"], found["rise_fast_k"], found["rise_slow_k"])
        if not _credible(state, found):
            continue
        air_c = _air_c(site, transformer, found["ambient_c"], at_utc_s, quarters)
        out[transformer.id] = Warm(state, air_c, found["hot_spot_c_max"], found["proven"] > PROVEN_FRAC)
    return out


def _credible(state: ThermalState, found: Mapping[str, float]) -> bool:
    low, high = POSSIBLE
    in_range = all(math.isfinite(x) and low <= x <= high for x in found.values())
    return in_range and abs(state.hot_spot_c - found["hot_spot_c"]) <= AGREES_K


def _air_c(site: Site, transformer: Transformer, now_c: float, at_utc_s: float, quarters: int) -> Array:
    """Air without the surcharge: from that of now to the design weather, and never cooler than now."""
    thermal = transformer.thermal
    assert thermal is not None
    month = datetime.fromtimestamp(at_utc_s, ZoneInfo(site.timezone)).month
    design_c = site.weather.ambient_c[month - 1] if thermal.ambient_c is None else thermal.ambient_c
    bare_c = now_c - thermal.ambient_surcharge_k
    share = np.minimum(np.arange(quarters) * QUARTER_S / WARMS_S, 1.0)
    air_c: Array = bare_c + share * max(design_c - bare_c, 0.0)
    return air_c
