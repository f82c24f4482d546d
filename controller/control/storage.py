"""What energy in a battery is worth to the fast loop when no plan says otherwise.

Below its reference content a battery is refilled whenever there is room, above it it may be emptied so that it can
absorb the next surplus. The prices are small against curtailment and against a limit, so that they decide only when
nothing else does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.resources import Resources
from controller.domain.site import Site

Array = NDArray[np.float64]

REFILL_EUR_PER_MWH = 30.0


def storage_marginal_price(site: Site, resources: Resources, soc_frac: Array, value_eur_per_mwh: Array) -> Array:
    """Relative gain of one more W of each resource: for generation and demand their price, for storage value − wear.

    ``value_eur_per_mwh`` (n_unit,) is the worth of stored energy beyond the reference content.
    """
    out = resources.price.copy()
    for k, unit_index in enumerate(resources.unit):
        storage = site.units[unit_index].storage
        if storage is None:
            continue
        value = value_eur_per_mwh[unit_index] + (REFILL_EUR_PER_MWH if soc_frac[unit_index] < storage.soc_initial_frac else 0.0)
        wear = site.units[unit_index].price_eur_per_mwh
        charging = resources.sign[k] > 0
        gain = value * storage.eff_charge_frac - wear if charging else -value / storage.eff_discharge_frac - wear
        out[k] = gain / resources.price_scale
    return out
