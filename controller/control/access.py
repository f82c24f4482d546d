"""Principles of access: who gives way first, as prices for the dispatch.

``merit`` uses the unit's price; ``lifo`` makes the last connected the cheapest to curtail; ``pro_rata`` gives all the
same price and makes curtailment dearer the larger its share of what is available; ``technical_best`` gives all the
same price, so that the most effective unit moves least energy. A battery keeps its own price in all of them: using it
is not curtailment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.resources import Resources
from controller.domain.site import Site

Array = NDArray[np.float64]

LIFO_RATIO = 2.5  # above the largest ratio of two neighbours' sensitivities that matters
LIFO_SPREAD_MAX = 1e4  # first to last of the stack, so that the programme stays well scaled
PRO_RATA_CURVATURE = 4.0


def access_prices(site: Site, resources: Resources) -> tuple[Array, Array]:
    """(price, curvature) per resource: relative price of one W withheld, and how it grows with the withheld share."""
    none = np.zeros(len(resources.unit))
    if site.principle == "merit":
        return resources.price, none
    equal = np.where(resources.is_storage, resources.price, 1.0)
    if site.principle == "technical_best":
        return equal, none
    if site.principle == "pro_rata":
        return equal, np.where(resources.is_storage, 0.0, PRO_RATA_CURVATURE)
    if site.principle == "lifo":
        return np.where(resources.is_storage, resources.price, _lifo(site)[resources.unit]), none
    raise ValueError(f"principle of access is {site.principle!r}; expected merit, lifo, pro_rata or technical_best")


def _lifo(site: Site) -> Array:
    """Price by place in the stack: position 1 is the cheapest to curtail, outside the stack (0) the dearest."""
    position = np.array([u.stack_position for u in site.units], dtype=float)
    last = position.max(initial=1.0)
    place = np.where(position > 0.0, position, last + 1.0)
    ratio = min(LIFO_RATIO, LIFO_SPREAD_MAX ** (1.0 / max(last, 1.0)))
    return np.array(ratio ** (place - last - 1.0))
