"""What a site has left to sell to a national balancing market, from one record of its controller.

The area is that of the present state of the network: what nobody controls stays as the record estimates it, the units
that are for sale may move as far as they can keep up for the whole window, the others stay. Reactive power may come
from every converter. Branch flows are the model's own; voltages are moved to what the record says.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.grid.model import GridModel, PowerFlowError
from controller.planning.availability import availability
from controller.planning.boundary import Area, Flexibility, feasible_area, surplus
from controller.planning.outlook import Offsets

Array = NDArray[np.float64]

STEP_W = 100e3
"""Volumes are offered in whole steps, rounded down."""


@dataclass(frozen=True, slots=True)
class ServiceBid:
    """An offer of active power in both directions for one window, with the area that it lies in.

    ``up_w`` is less import or more export, ``down_w`` the opposite (magnitudes); ``from_utc_s`` to ``until_utc_s``;
    one price for both, EUR/MWh. ``units`` are those that stand behind it.
    """

    id: str
    from_utc_s: float
    until_utc_s: float
    up_w: float
    down_w: float
    price_eur_per_mwh: float
    units: tuple[str, ...]
    area: Area

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; W and var at the boundary, import positive."""
        return {
            "id": self.id,
            "from_utc_s": self.from_utc_s,
            "until_utc_s": self.until_utc_s,
            "up_w": self.up_w,
            "down_w": self.down_w,
            "price_eur_per_mwh": self.price_eur_per_mwh,
            "units": list(self.units),
            "now": [round(self.area.now.p_w), round(self.area.now.q_var)],
            "area": [[round(corner.p_w), round(corner.q_var)] for corner in self.area.corners],
        }


def service_bid(
    site: Site,
    record: Mapping[str, Any],
    bid_id: str,
    window_utc_s: tuple[float, float],
    prices_eur_per_mwh: Mapping[str, float],
    margin_eur_per_mwh: float,
) -> ServiceBid | None:
    """The bid of the units that have a price (by id), at the highest of them plus a margin; None with nothing to sell.

    ``record`` is a published cycle record. Raises ValueError for one that does not say what every bus and unit does,
    or whose state has no power flow.
    """
    begins_s, ends_s = window_utc_s
    area = boundary_area(site, record, prices_eur_per_mwh.keys(), ends_s - begins_s)
    left = surplus(area, area.now.p_w, area.now.q_var)
    up_w, down_w = (math.floor(w / STEP_W) * STEP_W for w in (left.up_w, left.down_w))
    if not prices_eur_per_mwh or max(up_w, down_w) <= 0.0:
        return None
    price = max(prices_eur_per_mwh.values()) + margin_eur_per_mwh
    return ServiceBid(bid_id, begins_s, ends_s, up_w, down_w, price, tuple(prices_eur_per_mwh), area)


def boundary_area(site: Site, record: Mapping[str, Any], for_sale: Collection[str], for_s: float) -> Area:
    """The feasible area at the boundary in the state of a record; see :func:`service_bid`."""
    layout = Layout(site, GridModel(site.topology))
    unknown = [u.id for u in site.units if u.id not in {state["id"] for state in record.get("units", ())}]
    if unknown:
        raise ValueError(f"the record says nothing of {', '.join(unknown)}; expected every unit")
    units = _units(site, record, for_sale, for_s)
    demand = _demand(layout, record)
    try:
        return feasible_area(layout, demand, units, _offsets(layout, record, demand, units))
    except PowerFlowError as error:
        raise ValueError(f"the state of the record has no power flow: {error}") from error


def _units(site: Site, record: Mapping[str, Any], for_sale: Collection[str], for_s: float) -> Flexibility:
    """What is for sale may go as far as it can keep up; the rest stays where it is."""
    states = {state["id"]: state for state in record["units"]}
    p_w = np.array([_known(states[u.id], "p_w") for u in site.units])
    q_var = np.array([_known(states[u.id], "q_var") for u in site.units])
    low_w, high_w = p_w.copy(), p_w.copy()
    for k, unit in enumerate(site.units):
        if unit.id in for_sale and states[unit.id]["status"] not in ("lost", "deaf"):
            p_avail_w, soc_frac = (_number(states[unit.id], key) for key in ("p_avail_w", "soc_frac"))
            can = availability(unit, float(p_w[k]), p_avail_w, soc_frac, for_s)
            low_w[k], high_w[k] = p_w[k] - can.up_w, p_w[k] + can.down_w
    return Flexibility(low_w, high_w, p_w, q_var)


def _demand(layout: Layout, record: Mapping[str, Any]) -> Array:
    """P of every bus but the source's, then Q."""
    buses = {bus["id"]: bus for bus in record.get("buses", ())}
    missing = [bus for bus in layout.grid.injection_buses if bus not in buses]
    if missing:
        raise ValueError(f"the record says nothing of {', '.join(missing)}; expected every bus but the source's")
    return np.array([_known(buses[bus], key) for key in ("p_w", "q_var") for bus in layout.grid.injection_buses])


def _offsets(layout: Layout, record: Mapping[str, Any], demand: Array, units: Flexibility) -> Offsets:
    """How far the voltages that the record knows lie from the model's; nothing where it knows none."""
    moved = np.concatenate([layout.incidence @ units.p_w, layout.incidence @ units.q_var])
    model_v = layout.grid.solve(demand + moved).u_v
    offset_v = np.zeros(layout.grid.n_bus)
    place = {bus.id: k for k, bus in enumerate(layout.site.topology.buses)}
    for state in record["limits"]:
        value = _number(state, "value")
        if state["kind"] == LimitKind.VOLTAGE.value and math.isfinite(value):
            offset_v[place[state["element"]]] = value - model_v[place[state["element"]]]
    return Offsets(offset_v, np.zeros(2 * layout.n_branch + 2))


def _number(state: Mapping[str, Any], key: str) -> float:
    value = state.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _known(state: Mapping[str, Any], key: str) -> float:
    value = _number(state, key)
    if not math.isfinite(value):
        raise ValueError(f"{key} of {state['id']} is {state.get(key)!r} in the record; expected a finite number")
    return value
