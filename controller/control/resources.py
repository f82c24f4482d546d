"""Units as the dispatch sees them: one resource per direction in which active power can be moved.

A generator is one resource (its generation), a flexible load one (its consumption), a battery two (charging and
discharging). A resource's output is a magnitude ≥ 0; ``sign`` turns it into load convention.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.site import Site
from controller.estimation.actuator import UnitArrays

Array = NDArray[np.float64]
Number = TypeVar("Number", np.float64, np.bool_)


@dataclass(frozen=True)
class Resources:
    """Arrays over resources; ``unit`` is the index of the unit each belongs to.

    A unit's resources stand side by side, in the units' order: ``first`` is the place of every unit's first one,
    ``twofold`` says whether any unit has two.
    """

    unit: NDArray[np.intp]
    sign: Array
    rated_w: Array
    price: Array
    is_storage: NDArray[np.bool_]
    latency_s: Array
    tau_s: Array
    ramp_up_w_per_s: Array
    base_w: float
    price_scale: float
    first: NDArray[np.intp]
    twofold: bool

    @staticmethod
    def of(site: Site, units: UnitArrays) -> Resources:
        """Resources of a site; prices in units of the dearest one, W of network value in ``base_w``."""
        rows: list[tuple[int, float]] = []
        for k, unit in enumerate(site.units):
            if unit.storage is not None:
                rows += [(k, 1.0), (k, -1.0)]
            else:
                rows.append((k, float(units.sign[k])))
        index = np.array([k for k, _ in rows], dtype=np.intp)
        prices = np.array([u.price_eur_per_mwh for u in site.units]) if site.units else np.empty(0)
        scale = float(prices.max(initial=0.0)) or 1.0
        return Resources(
            unit=index,
            sign=np.array([s for _, s in rows]),
            rated_w=units.p_rated_w[index],
            price=prices[index] / scale,
            is_storage=units.is_battery[index],
            latency_s=units.latency_s[index],
            tau_s=units.tau_p_s[index],
            ramp_up_w_per_s=units.ramp_up_w_per_s[index],
            base_w=float(units.p_rated_w.max(initial=1.0)),
            price_scale=scale,
            first=np.searchsorted(index, np.arange(len(site.units))),
            twofold=some(units.is_battery),
        )

    def by_unit(self, values: Array) -> Array:
        """Sums over each unit's resources, along the last axis."""
        return np.add.reduceat(values, self.first, axis=-1) if self.twofold else values

    def most_by_unit(self, values: NDArray[Number]) -> NDArray[Number]:
        """The larger of each unit's resources, along the last axis; of truth values, whether one of them is true."""
        return np.maximum.reduceat(values, self.first, axis=-1) if self.twofold else values

    def paced(self, latency_s: Array, tau_s: Array) -> Resources:
        """The same with the units' dead times and lags as they were identified."""
        latency_s, tau_s = latency_s[self.unit], tau_s[self.unit]
        if np.array_equal(latency_s, self.latency_s) and np.array_equal(tau_s, self.tau_s):
            return self
        return replace(self, latency_s=latency_s, tau_s=tau_s)

    def output_w(self, unit_p_w: Array) -> Array:
        """Magnitude of every resource from the units' powers (load convention)."""
        out: Array = np.maximum(unit_p_w[self.unit] * self.sign, 0.0)
        return out

    def unit_p_w(self, output_w: Array) -> Array:
        """Units' powers (load convention) from the resources' magnitudes."""
        return self.by_unit(self.sign * output_w) + 0.0  # never a negative zero
