"""Everything that comes from outside the station, for one day in one table: weather, demand, source voltage."""

from __future__ import annotations

import numpy as np

from controller.domain.site import Site
from controller.domain.unit import Unit, UnitKind
from simulators.scenario import LoadShape, Scenario, UnitSettings
from simulators.seeds import stream
from simulators.units import loads, pv, wind
from simulators.units.course import DAY_S, Array, by_hour, noise

WIND_FROM_DEG = 225.0
SUN_W_PER_M2 = 1000.0


class Exogenous:
    """Columns: source voltage (pu), weather (air °C, wind m/s and where from, sun W/m²), P of each load, Q of each
    load, available power of each unit.

    Available power is a magnitude in W, NaN for a battery; a charging hub's column is its rating (the hub itself
    knows what its cars ask for). One row per second of the day, linear in between.
    """

    def __init__(self, site: Site, scenario: Scenario, seed: int) -> None:
        self._start_s = scenario.start_s
        weather = _Weather(scenario, seed)
        source = by_hour(scenario.source_u_pu) + scenario.source_noise_pu * noise(stream(seed, "source"), 600.0, 60.0)
        shapes = {load.id: scenario.loads.get(load.id, LoadShape()) for load in site.topology.loads}
        active = [
            loads.power_w(
                load, shapes[load.id].shape, shapes[load.id].scale, weather.sun, stream(seed, f"load.{load.id}")
            )
            for load in site.topology.loads
        ]
        reactive = [p * loads.reactive_ratio(load) for p, load in zip(active, site.topology.loads, strict=True)]
        available = [weather.available_w(unit) for unit in site.units]
        columns = [source, by_hour(scenario.ambient_c), *weather.at_the_site(), *active, *reactive, *available]
        self._table = np.ascontiguousarray(np.stack(columns, axis=1))
        count = len(active)
        self.weather = slice(1, 5)
        self.active = slice(5, 5 + count)
        self.reactive = slice(5 + count, 5 + 2 * count)
        self.available = slice(5 + 2 * count, 5 + 2 * count + len(available))

    def at(self, now_s: float) -> Array:
        """All columns at that world second."""
        whole, part = divmod(now_s + self._start_s, 1.0)
        k = int(whole) % DAY_S
        row: Array = self._table[k]
        if part > 1e-9:
            row = row + (self._table[(k + 1) % DAY_S] - row) * part
        return row


class _Weather:
    """Sun, clouds and wind that all units share."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._clear_w_m2 = pv.clear_sky_w_m2(scenario.day_of_year, scenario.latitude_deg)
        cover = np.clip(by_hour(scenario.cloud_frac), 0.0, 1.0)
        self._clouds = pv.cloud_field(cover, stream(seed, "clouds"))
        self._mean_m_s = np.maximum(by_hour(scenario.wind_m_s, 1800.0), 0.0)
        self.sun = pv.available_frac(self._clear_w_m2, self._clouds, pv.PvSettings(extent_m=3000.0))

    def at_the_site(self) -> tuple[Array, Array, Array]:
        """Wind speed, where it comes from (degrees east of north), sun on the horizontal."""
        return self._mean_m_s, np.full(DAY_S, WIND_FROM_DEG), SUN_W_PER_M2 * self.sun

    def available_w(self, unit: Unit) -> Array:
        """What the unit could generate, or what its process would consume, W."""
        settings = self._scenario.units.get(unit.id, UnitSettings())
        if unit.kind is UnitKind.WIND:
            rng = stream(self._seed, f"wind.{unit.id}")
            return unit.p_rated_w * wind.available_frac(self._mean_m_s, settings.wind, rng)
        if unit.kind is UnitKind.PV:
            return unit.p_rated_w * pv.available_frac(self._clear_w_m2, self._clouds, settings.pv)
        if unit.kind is UnitKind.BATTERY:
            return np.full(DAY_S, np.nan)
        if unit.kind is UnitKind.EV_HUB:
            return np.full(DAY_S, unit.p_rated_w)
        return unit.p_rated_w * np.clip(by_hour(settings.request_frac), 0.0, 1.0)
