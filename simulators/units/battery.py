"""Energy side of a battery: what its cells can give or take over the next instant."""

from __future__ import annotations

from controller.domain.unit import Storage

# Charging and discharging power fall linearly over the last part of the usable range: cell voltage limits do that.
TAPER_FRAC = 0.04
_TAPER_FLOOR = 0.03


class Battery:
    """State of charge between the configured limits, never outside; load convention (charging positive)."""

    def __init__(self, storage: Storage, p_rated_w: float) -> None:
        self._storage = storage
        self._p_rated_w = p_rated_w
        self._low_wh = storage.e_rated_wh * storage.soc_min_frac
        self._high_wh = storage.e_rated_wh * storage.soc_max_frac
        self.energy_wh = min(max(storage.e_rated_wh * storage.soc_initial_frac, self._low_wh), self._high_wh)

    @property
    def soc_frac(self) -> float:
        """Stored energy over rated energy."""
        return self.energy_wh / self._storage.e_rated_wh

    def range_w(self, dt_s: float) -> tuple[float, float]:
        """Least and greatest power (load convention) that the cells allow for ``dt_s``."""
        hours = dt_s / 3600.0
        above_wh, below_wh = self._high_wh - self.energy_wh, self.energy_wh - self._low_wh
        charge_w = min(above_wh / self._storage.eff_charge_frac / hours, self._tapered_w(above_wh))
        discharge_w = min(below_wh * self._storage.eff_discharge_frac / hours, self._tapered_w(below_wh))
        return -discharge_w, charge_w

    def step(self, p_w: float, dt_s: float) -> float:
        """Store or give energy for ``dt_s``; the power (W, at the terminals) that really flowed."""
        low_w, high_w = self.range_w(dt_s)
        p_w = min(max(p_w, low_w), high_w)
        efficiency = self._storage.eff_charge_frac if p_w > 0.0 else 1.0 / self._storage.eff_discharge_frac
        energy_wh = self.energy_wh + p_w * efficiency * dt_s / 3600.0
        self.energy_wh = min(max(energy_wh, self._low_wh), self._high_wh)
        return p_w

    def _tapered_w(self, room_wh: float) -> float:
        """Power allowed with that much room left before the edge."""
        width_wh = TAPER_FRAC * self._storage.e_rated_wh
        if room_wh >= width_wh:
            return self._p_rated_w
        if room_wh <= 0.0:
            return 0.0
        return self._p_rated_w * max(room_wh / width_wh, _TAPER_FLOOR)
