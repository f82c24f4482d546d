"""What stored energy will be worth, from what the station keeps on the disk; for the control process. Pure.

The limits looked at are those that anybody can know beforehand: ratings of what has no more for a while, the contract
that holds while no platform speaks, and the calendar. What operators, the platform or the weather narrow or lift today
is the fast loop's business: a wrong price costs energy, never a limit.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import Limit, LimitKind
from controller.domain.plan import StoredEnergyPrice
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.limits.calendar import holds
from controller.planning.calendar import QUARTER_S
from controller.planning.foretold import NOTHING_HEARD, Heard
from controller.planning.lookahead import price_stored_energy
from controller.planning.lookback import Learned, Means, foresee, offsets_of
from controller.planning.outlook import Periods, injections, periods, room, scenarios, tight

Array = NDArray[np.float64]


def planned_site(site: Site) -> Site:
    """The site with the limits that hold for good: continuous ratings, and the contract of a silent platform."""
    contract = {} if site.platform is None else dict(site.platform.default_w)
    return replace(site, limits=tuple(_for_good(limit, contract) for limit in site.limits))


def _for_good(limit: Limit, contract: dict[str, float]) -> Limit:
    return replace(limit, high=min(limit.rated_high, contract.get(limit.id, math.inf)))


def price_ahead(
    layout: Layout, learned: Learned, recent: Means, at_utc_s: float, quarters: int, heard: Heard = NOTHING_HEARD
) -> tuple[StoredEnergyPrice, ...]:
    """Prices of all storages whose content is known, looking ``quarters`` quarter hours ahead of now.

    ``layout`` is that of a :func:`planned_site`; its calendar counts UTC seconds. ``heard`` are the forecasts of the
    weather. Raises PowerFlowError when not even
    the middle future's first period has a solution.
    """
    when = periods(quarters)
    futures = scenarios(layout, foresee(layout, learned, recent, at_utc_s, quarters, heard), when)
    grid = layout.grid.linearise(injections(layout, futures[len(futures) // 2])[0])
    agreed_w = agreed(layout.site, at_utc_s - at_utc_s % QUARTER_S, when)
    offsets = offsets_of(layout, recent)
    limited = [(s, tight(layout.site, room(layout, grid, s, offsets, agreed_w=agreed_w))) for s in futures]
    return price_stored_energy(layout.site.units, limited, when, contents(layout.site, recent))


def contents(site: Site, recent: Means) -> Array:
    """Content of every unit's storage; NaN where there is none or nobody knows it."""
    return np.array([recent.get(f"unit.{unit.id}.soc_frac", math.nan) for unit in site.units])


def agreed(site: Site, from_utc_s: float, when: Periods) -> dict[str, Array]:
    """Export and import that limits and calendar leave in each period, W by limit: the least that holds in it."""
    zone, found = ZoneInfo(site.timezone), {}
    starts_utc_s = from_utc_s + QUARTER_S * np.arange(int(when.end[-1]))
    local = [datetime.fromtimestamp(start, UTC).astimezone(zone) for start in starts_utc_s.tolist()]
    for limit in (x for x in site.limits if x.kind in (LimitKind.EXPORT, LimitKind.IMPORT)):
        caps = [cap for cap in site.connection.caps if cap.subject == limit.id]
        by_quarter = [min([limit.high, *(cap.high_w for cap in caps if holds(cap.when, at))]) for at in local]
        found[limit.id] = np.minimum.reduceat(np.array(by_quarter), when.first)
    return found
