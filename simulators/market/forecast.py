"""The platform's forecast: the same weather map and habits, but other gusts, clouds and kettles than will come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import LimitKind
from controller.domain.site import Site
from simulators.exogenous import Exogenous
from simulators.scenario import Scenario

Array = NDArray[np.float64]

OTHER_SEED = 1_000_003
QUANTILE = 0.9
STEP_S = 10.0


class SurplusForecast:
    """What generation exceeds demand and agreed export by, nobody's flexibility counted; below 0 is room, W."""

    def __init__(self, site: Site, scenario: Scenario, seed: int) -> None:
        self._outside = Exogenous(site, scenario.starting_at(scenario.market.opens), seed + OTHER_SEED)
        self._generates = np.array([unit.kind.generates for unit in site.units])
        exports = [limit.high for limit in site.limits if limit.kind is LimitKind.EXPORT]
        self._export_w = min(exports, default=float("inf"))

    def surplus_w(self, start_s: float, end_s: float, period_s: float) -> Array:
        """The 90th percentile of every period between two seconds since the opening."""
        return np.array([self._quantile_w(s, period_s) for s in np.arange(start_s, end_s - 1.0, period_s).tolist()])

    def _quantile_w(self, start_s: float, period_s: float) -> float:
        net_w = [self._net_w(t) for t in np.arange(start_s, start_s + period_s, STEP_S).tolist()]
        return float(np.quantile(net_w, QUANTILE)) - self._export_w

    def _net_w(self, t_s: float) -> float:
        row = self._outside.at(t_s)
        available_w = row[self._outside.available][self._generates]
        return float(available_w.sum() - row[self._outside.active].sum())
