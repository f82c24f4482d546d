"""A station for tests of the slow loop: two solar farms and a battery behind a transformer too small for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind
from controller.estimation.actuator import UnitArrays
from controller.estimation.estimator import Estimator, EstimatorState
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.observation import observed_series

QUICK = Actuator(0.5, 1.0, 0.5, 1e6, 1e6)


def unit(unit_id: str, kind: UnitKind, p_w: float, *, reports: bool = True, storage: Storage | None = None) -> Unit:
    """A unit at the busbar of its name's last letter; no reactive power."""
    price = 8.0 if storage else 50.0
    low, high = -p_w, (p_w if storage else 0.0)
    safe = FailSafe(0.0, 0.0, 10.0)
    bus = "BB" if storage else unit_id[-1]
    return Unit(unit_id, bus, kind, p_w, 1.1 * p_w, 0.0, low, high, price, 1, "", reports, QUICK, safe, storage)


def topology() -> Topology:
    """GRID ==T 3 MVA==> BB --> A, B; 0.5 MW of demand at BB."""
    return Topology(
        f_hz=50.0,
        source=Source("GRID", 500e6, 0.1),
        buses=(Bus("GRID", 33e3), Bus("BB", 11e3), Bus("A", 11e3), Bus("B", 11e3)),
        lines=(Line("LA", "BB", "A", 0.3, 0.3, 2e-6, 500.0), Line("LB", "BB", "B", 0.3, 0.3, 2e-6, 500.0)),
        transformers=(Transformer("T", "GRID", "BB", 3e6, 33e3, 11e3, 0.08, 2e4, 0.002, 4e3, 3e6),),
        loads=(Load("TOWN", "BB", 5e5, 1e5, 0.0, 1e6),),
    )


def station(
    *,
    reports_b: bool = True,
    available_a_w: float = 2.0e6,
    output_w: tuple[float, float] = (2.0e6, 1.0e6),
    soc_frac: float = 0.5,
    deficit_eur_per_mwh: float = 0.0,
) -> tuple[Layout, EstimatorState]:
    """The layout, and an estimate in which the farms give ``output_w`` and A says what it could."""
    units = (
        unit("SUN_A", UnitKind.PV, 3e6),
        unit("SUN_B", UnitKind.PV, 2e6, reports=reports_b),
        unit("BAT", UnitKind.BATTERY, 0.5e6, storage=Storage(1e6, 0.05, 0.95, 0.95, 0.95, 0.5)),
    )
    topo = topology()
    thermal = tuple(Limit(f"{b.id}.thermal", LimitKind.THERMAL, b.id, b.i_max_a) for b in topo.branches)
    voltage = tuple(
        Limit(f"{b.id}.voltage", LimitKind.VOLTAGE, b.id, 1.1 * b.u_rated_v, 0.9 * b.u_rated_v) for b in topo.buses
    )
    site = Site("station", topo, units, (*thermal, *voltage), soc_deficit_eur_per_mwh=deficit_eur_per_mwh)
    layout = Layout(site, GridModel(topo))
    state = Estimator(layout, UnitArrays.of(site)).initial(0.0)
    x = state.filter.x.copy()
    x[2 * layout.n_w : 2 * layout.n_w + 2] = -np.array(output_w)
    said = np.array([available_a_w, output_w[1] if reports_b else np.nan, np.nan])
    contents = np.array([np.nan, np.nan, soc_frac])
    filtered = replace(state.filter, x=x)
    return layout, replace(state, filter=filtered, avail_w=said, soc_frac=contents)


def series(layout: Layout, state: EstimatorState, held: tuple[bool, bool]) -> np.ndarray:
    """What the slow loop sees; the battery counts as held, as it does in the fast loop."""
    return observed_series(layout, state, np.array([*held, True]))


def seller() -> Site:
    """The station with a battery and farms that give reactive power, too."""
    layout, _ = station()
    units = tuple(replace(unit, q_max_var=0.2e6) for unit in layout.site.units)
    return replace(layout.site, units=(*units[:2], replace(units[2], p_min_w=-0.55e6, p_max_w=0.55e6)))


def seller_record(**battery: Any) -> dict[str, Any]:
    """Two farms at 1 MW, half a megawatt of demand, the battery at rest and half full."""
    state = {"status": "free", "q_var": 0.0, "p_avail_w": 1e6, "soc_frac": None}
    return {
        "units": [
            {**state, "id": "SUN_A", "p_w": -1e6},
            {**state, "id": "SUN_B", "p_w": -1e6},
            {**state, "id": "BAT", "p_w": 0.0, "p_avail_w": None, "soc_frac": 0.5, **battery},
        ],
        "buses": [{"id": bus, "p_w": 0.5e6 if bus == "BB" else 0.0, "q_var": 0.0} for bus in ("BB", "A", "B")],
        "limits": [{"kind": "voltage", "element": "BB", "value": 11.1e3}],
    }
