"""What is constant about one site, computed once: network, limits, prices, fail-safe set points."""

from __future__ import annotations

import math

import numpy as np

from controller.control import modes
from controller.control.access import access_prices
from controller.control.bands import Bands
from controller.control.explain import ranked
from controller.control.pace import Paces
from controller.control.reasons import reasons_of
from controller.control.resources import Resources
from controller.control.tuning import DEFAULT, Tuning
from controller.domain.command import LEASE_S_MAX
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.unit import Unit
from controller.estimation.actuator import UnitArrays
from controller.estimation.estimate import Estimate
from controller.estimation.estimator import Estimator
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.limits.base import Readings, Rows, in_order, stack
from controller.limits.in_force import Arbiter, InForce
from controller.limits.interface import InterfaceLimits
from controller.limits.thermal import ThermalLimits
from controller.limits.voltage import VoltageLimits


def _open_p_w(unit: Unit) -> float:
    """Set point of a unit that nobody restricts (load convention)."""
    if unit.storage is not None:
        return 0.0
    return unit.p_min_w if unit.kind.generates else unit.p_max_w


def _extra_scale(site: Site, limit: Limit) -> float:
    """What a fraction of the limit is in the unit of its rows (voltage: per unit of the rated voltage)."""
    if limit.kind is not LimitKind.VOLTAGE:
        return 1.0
    rated_v = next(b.u_rated_v for b in site.topology.buses if b.id == limit.element)
    return 0.5 * (limit.high - (limit.low or 0.0)) / rated_v


class Engine:
    """Constants of one site, computed once; no operating state."""

    def __init__(self, site: Site, tuning: Tuning = DEFAULT) -> None:
        self.site, self.tuning = site, tuning
        self.grid = GridModel(site.topology)
        self.layout = Layout(site, self.grid)
        self.units = UnitArrays.of(site)
        self.resources = Resources.of(site, self.units)
        self.bands = Bands.of(self.resources, self.units, tuning)
        self.lease_s = [min(u.fail_safe.lease_s, LEASE_S_MAX) for u in site.units]
        self.paces = Paces(site, self.resources, self.layout.incidence)
        self.estimator = Estimator(self.layout, self.units)
        self.limits = (ThermalLimits(site), VoltageLimits(site), InterfaceLimits(site))
        self.reasons, self.arbiter = reasons_of(site), Arbiter(site.limits, [u.id for u in site.units])
        self.price, self.curvature = access_prices(site, self.resources)
        self.ranks = ranked(self.resources, self.price, ~self.units.is_battery)
        self.limit_ids, self.unit_ids = [x.id for x in site.limits], [u.id for u in site.units]
        self.limit_place = {x: k for k, x in enumerate(self.limit_ids)}
        metered = modes.metered_elements(site)
        self.metered = np.array([x.element in metered for x in site.limits], dtype=bool)
        self.extra_scale = np.array([_extra_scale(site, x) for x in site.limits])
        self.is_voltage = np.array([x.kind is LimitKind.VOLTAGE for x in site.limits], dtype=bool)
        self.limit_penalty = np.where(self.is_voltage, tuning.voltage_penalty, tuning.thermal_penalty)
        self.limit_penalty[self.is_voltage & ~self.metered] *= tuning.unseen_penalty_frac
        self.open_p_w = np.array([_open_p_w(u) for u in site.units])
        self.p_low_w, self.p_high_w = (np.array([getattr(u, k) for u in site.units]) for k in ("p_min_w", "p_max_w"))
        self.safe_p_w = np.array([u.fail_safe.p_w for u in site.units])
        self.safe_output_w = self.resources.output_w(self.safe_p_w)
        self.reverts = np.array([math.isfinite(u.fail_safe.lease_s) for u in site.units], dtype=bool)
        self.safe_q_var = np.array([u.fail_safe.q_var for u in site.units])

    def rows(self, estimate: Estimate, in_force: InForce) -> Rows:
        """All limits' rows, each row knowing its limit."""
        return stack([x.evaluate(estimate, in_force) for x in self.limits], 2 * self.layout.n_w)

    def readings(self, estimate: Estimate, in_force: InForce) -> Readings:
        """All limits' present values in the site's order."""
        return in_order([x.readings(estimate, in_force) for x in self.limits])
