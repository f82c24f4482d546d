"""The world around a synthetic site: weather, demand, units that obey, and meters with noise and gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.actuator import UnitArrays
from simulators.plant.network import PlantNetwork

from .site import U_SOURCE_PU

Array = NDArray[np.float64]

AVAILABLE_FRAC = (0.55, 1.0)
CLOUD_FRAC = 0.03  # of the rating, per square root of a second: one sigma of what the weather does
DEMAND_FRAC = 0.01  # the same for uncontrolled demand
MISSING_FRAC = 0.01  # of all readings, anew in every cycle
READING_AGE_S = 0.5  # what a reading takes to arrive


class FleetPlant:
    """One site in its world, moved by :meth:`step`; everything random comes from ``seed``."""

    def __init__(self, site: Site, seed: int = 1) -> None:
        self.site, self.now_s = site, 0.0
        self._rng = np.random.default_rng(seed)
        self._units = UnitArrays.of(site)
        self._network = PlantNetwork(site.topology, [u.bus for u in site.units])
        self._base_w = np.array([x.p_w for x in site.topology.loads])
        self._demand = np.ones(len(self._base_w))
        n = len(site.units)
        self._available = self._rng.uniform(*AVAILABLE_FRAC, n)
        self._set_p_w = np.where(self._units.is_battery, 0.0, self._units.sign * self._units.p_rated_w)
        self._set_q_var = np.zeros(n)
        self._p_w, self._q_var, self._soc = 0.5 * self._set_p_w, np.zeros(n), np.full(n, 0.5)
        self._names, self._sigma = _points(site)

    def obey(self, record: CycleRecord) -> None:
        """Take the set points of a cycle."""
        self._set_p_w = np.array([s.p_w for s in record.setpoints])
        self._set_q_var = np.array([s.q_var for s in record.setpoints])

    def step(self) -> None:
        """One cycle later: weather and demand have wandered, units have followed by their lag and ramp."""
        dt_s, units, rng = self.site.cycle.cycle_s, self._units, self._rng
        wander = CLOUD_FRAC * np.sqrt(dt_s) * rng.standard_normal(len(self._available))
        self._available = np.clip(self._available + wander, *AVAILABLE_FRAC)
        drift = DEMAND_FRAC * np.sqrt(dt_s) * rng.standard_normal(len(self._demand))
        self._demand = np.clip(self._demand + drift, 0.5, 1.5)
        most = np.where(units.is_battery, units.p_rated_w, self._available * units.p_rated_w)
        target = np.clip(self._set_p_w, -most, most)
        lag = 1.0 - np.exp(-dt_s / units.tau_p_s)
        ramp = units.ramp_down_w_per_s * dt_s
        self._p_w = self._p_w + np.clip(lag * (target - self._p_w), -ramp, ramp)
        self._q_var = self._q_var + (1.0 - np.exp(-dt_s / units.tau_q_s)) * (self._set_q_var - self._q_var)
        energy_wh = np.array([u.storage.e_rated_wh if u.storage else np.inf for u in self.site.units])
        self._soc = np.clip(self._soc + self._p_w * dt_s / 3600.0 / energy_wh, 0.0, 1.0)
        self.now_s += dt_s

    def snapshot(self) -> Snapshot:
        """What the meters say: noise on every reading, some readings missing, all half a second old."""
        load_w = self._demand * self._base_w
        p_w, q_var = np.concatenate([load_w, self._p_w]), np.concatenate([0.3 * load_w, self._q_var])
        flow = self._network.solve(U_SOURCE_PU, p_w, q_var)
        truth = np.concatenate(
            [
                flow.branch_i_a, flow.branch_p_w, flow.branch_q_var, flow.bus_u_v,
                [flow.interface_p_w, flow.interface_q_var],
                self._p_w, self._q_var, self._available * self._units.sign * self._units.p_rated_w, self._soc,
            ]
        )  # fmt: skip
        said = truth + self._sigma * self._rng.standard_normal(len(truth))
        here = (self._rng.random(len(truth)) >= MISSING_FRAC) & np.isfinite(self._sigma)
        sampled_s = self.now_s - READING_AGE_S
        readings = {
            name: Measurement(value, Quality.GOOD, sampled_s, self.now_s)
            for name, value, is_here in zip(self._names, said.tolist(), here.tolist(), strict=True)
            if is_here
        }
        return Snapshot(self.now_s, readings)


def _points(site: Site) -> tuple[list[str], Array]:
    """Every reading in the order of the plant, and one sigma of its noise; NaN where there is no such meter."""
    branches, buses, units, chain = site.topology.branches, site.topology.buses, site.units, site.chain
    names = [points.branch(b.id, q) for q in points.BRANCH_QUANTITIES for b in branches]
    names += [points.bus(b.id) for b in buses] + [points.interface(q) for q in points.INTERFACE_QUANTITIES]
    names += [points.unit(u.id, q) for q in ("p_w", "q_var", "p_avail_w", "soc_frac") for u in units]
    amps = np.array([b.i_max_a for b in branches])
    va = amps * np.sqrt(3.0) * np.array([_u_v(site, b.id) for b in branches])
    rated = np.array([u.p_rated_w for u in units])
    available = np.where([u.reports_available for u in units], 0.01 * rated, np.nan)
    content = np.array([1e-4 if u.storage else np.nan for u in units])
    sigma = [
        chain.sigma_i_rel * amps, chain.sigma_pq_rel * va, chain.sigma_pq_rel * va,
        chain.sigma_u_rel * np.array([b.u_rated_v for b in buses]), np.full(2, chain.sigma_pq_rel * va.max()),
        chain.sigma_unit_rel * rated, chain.sigma_unit_rel * rated, available, content,
    ]  # fmt: skip
    return names, np.concatenate(sigma)


def _u_v(site: Site, branch_id: str) -> float:
    """Rated voltage of the end at which a branch is measured."""
    of_bus = {b.id: b.u_rated_v for b in site.topology.buses}
    ends = {x.id: x.from_bus for x in site.topology.lines} | {x.id: x.lv_bus for x in site.topology.transformers}
    return of_bus[ends[branch_id]]
