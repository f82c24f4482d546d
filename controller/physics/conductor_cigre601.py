"""Current that an overhead conductor may carry: CIGRE Technical Brochure 601, steady state, by ``linerate``.

A second opinion on IEEE 738: it counts the roughness of the strands, the slope of the span and reflected light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import linerate
import numpy as np

from controller.physics.conductor_thermal import Conductor, Sun, Surroundings

HALF_SPAN_DEG = 0.0045  # degrees of arc, about 500 m
METRES_PER_DEG = 6_371_000.0 * math.pi / 180.0


@dataclass(frozen=True, slots=True)
class Cigre601Site:
    """What the brochure needs beyond IEEE 738. ``clearness`` is 1 for a standard clear sky."""

    strand_diameter_m: float
    core_diameter_m: float = 10.4e-3
    inclination_deg: float = 0.0
    albedo: float = 0.1
    clearness: float = 1.0


@dataclass(frozen=True, slots=True)
class HeatBalance:
    """Heat flows at one conductor temperature, W/m, and the current that they allow."""

    convected_w_per_m: float
    radiated_w_per_m: float
    solar_w_per_m: float
    resistance_ohm_per_m: float
    ampacity_a: float


def heat_balance(
    conductor: Conductor, surroundings: Surroundings, sun: Sun, site: Cigre601Site, conductor_c: float
) -> HeatBalance:
    """The brochure's steady state at ``conductor_c``; ampacity 0 when the sun alone makes the conductor hotter."""
    model = linerate.Cigre601(
        _span(conductor, surroundings, sun, site), _weather(surroundings, sun, site), np.datetime64(sun.solar_time)
    )
    convected = float(model.compute_convective_cooling(conductor_c))
    radiated = float(model.compute_radiative_cooling(conductor_c))
    solar = float(model.compute_solar_heating())
    resistance = float(model.compute_resistance(conductor_c, 0.0))
    ampacity = math.sqrt(max(convected + radiated - solar, 0.0) / resistance)
    return HeatBalance(convected, radiated, solar, resistance, ampacity)


def _weather(surroundings: Surroundings, sun: Sun, site: Cigre601Site) -> linerate.Weather:
    return linerate.Weather(
        air_temperature=surroundings.ambient_c,
        wind_direction=math.radians(sun.azimuth_deg + surroundings.wind_angle_deg),
        wind_speed=surroundings.wind_m_per_s,
        ground_albedo=site.albedo,
        clearness_ratio=site.clearness,
    )


def _span(conductor: Conductor, surroundings: Surroundings, sun: Sun, site: Cigre601Site) -> linerate.Span:
    """A short span around the given place, in the given direction and slope."""
    azimuth = math.radians(sun.azimuth_deg)
    north_deg = HALF_SPAN_DEG * math.cos(azimuth)
    east_deg = HALF_SPAN_DEG * math.sin(azimuth) / math.cos(math.radians(sun.latitude_deg))
    half_rise_m = HALF_SPAN_DEG * METRES_PER_DEG * math.tan(math.radians(site.inclination_deg))

    def tower(sign: float) -> linerate.Tower:
        return linerate.Tower(
            latitude=sun.latitude_deg + sign * north_deg,
            longitude=sign * east_deg,
            altitude=surroundings.elevation_m + sign * half_rise_m,
        )

    return linerate.Span(
        conductor=_bare_conductor(conductor, site), start_tower=tower(-1.0), end_tower=tower(1.0), num_conductors=1
    )


def _bare_conductor(conductor: Conductor, site: Cigre601Site) -> linerate.Conductor:
    return linerate.Conductor(
        core_diameter=site.core_diameter_m,
        conductor_diameter=conductor.diameter_m,
        outer_layer_strand_diameter=site.strand_diameter_m,
        emissivity=conductor.emissivity,
        solar_absorptivity=conductor.absorptivity,
        temperature1=25.0,
        temperature2=75.0,
        resistance_at_temperature1=conductor.r25_ohm_per_m,
        resistance_at_temperature2=conductor.r75_ohm_per_m,
        aluminium_cross_section_area=math.nan,
        constant_magnetic_effect=1.0,
        current_density_proportional_magnetic_effect=0.0,
        max_magnetic_core_relative_resistance_increase=1.0,
    )
