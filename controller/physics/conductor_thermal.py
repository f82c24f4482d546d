"""Current that an overhead conductor may carry: IEEE Std 738-2012 steady state.

The equations are those of the ``linerate`` package, which cites each by its number in the standard; this file puts
them together for one span and one instant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
from linerate.equations import dimensionless, ieee738, joule_heating, radiative_cooling, solar_angles, solar_heating

from controller.physics.finite import require_finite, require_positive

BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Conductor:
    """A bare conductor; resistances are AC, per metre, at 25 °C and 75 °C."""

    diameter_m: float
    r25_ohm_per_m: float
    r75_ohm_per_m: float
    emissivity: float
    absorptivity: float

    def __post_init__(self) -> None:
        """Refuse what is not a positive number."""
        for item in fields(self):
            require_positive(**{item.name: getattr(self, item.name)})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Air and wind around the conductor; the angle is between wind and line, 0…90 degrees."""

    ambient_c: float
    wind_m_per_s: float
    wind_angle_deg: float
    elevation_m: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that describe no weather; unknown wind must be given as the worst, 0."""
        require_finite(ambient_c=self.ambient_c, wind_angle_deg=self.wind_angle_deg, elevation_m=self.elevation_m)
        if not (math.isfinite(self.wind_m_per_s) and self.wind_m_per_s >= 0.0):
            raise ValueError(f"wind_m_per_s is {self.wind_m_per_s!r}; expected a finite number, at least 0")


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the span stands under the sun. ``solar_time`` is local solar time; azimuth is degrees east of north."""

    latitude_deg: float
    azimuth_deg: float
    solar_time: datetime
    clear: bool = True


@dataclass(frozen=True, slots=True)
class Air:
    """Properties of the air film, at the mean of conductor and ambient temperature."""

    density_kg_per_m3: float
    viscosity_kg_per_ms: float
    conductivity_w_per_mk: float


def air_film(surroundings: Surroundings, conductor_c: float) -> Air:
    """IEEE 738 equations (13a), (14a) and (15a)."""
    film_c = 0.5 * (conductor_c + surroundings.ambient_c)
    convection = ieee738.convective_cooling
    return Air(
        density_kg_per_m3=float(convection.compute_air_density(film_c, surroundings.elevation_m)),
        viscosity_kg_per_ms=float(convection.compute_dynamic_viscosity_of_air(film_c)),
        conductivity_w_per_mk=float(convection.compute_thermal_conductivity_of_air(film_c)),
    )


def reynolds_number(conductor: Conductor, surroundings: Surroundings, conductor_c: float) -> float:
    """IEEE 738 equation (2c)."""
    air = air_film(surroundings, conductor_c)
    kinematic = air.viscosity_kg_per_ms / air.density_kg_per_m3
    return float(dimensionless.compute_reynolds_number(surroundings.wind_m_per_s, conductor.diameter_m, kinematic))


def forced_cooling_w_per_m(conductor: Conductor, surroundings: Surroundings, conductor_c: float) -> tuple[float, float]:
    """IEEE 738 equations (3a), right for low wind, and (3b), right for high wind, both with (4a)."""
    reynolds = reynolds_number(conductor, surroundings, conductor_c)
    air = air_film(surroundings, conductor_c)
    direction = ieee738.convective_cooling.compute_wind_direction_factor(math.radians(surroundings.wind_angle_deg))
    per_nusselt = float(direction) * air.conductivity_w_per_mk * (conductor_c - surroundings.ambient_c)
    return per_nusselt * (1.01 + 1.35 * reynolds**0.52), per_nusselt * 0.754 * reynolds**0.6


def convective_cooling_w_per_m(conductor: Conductor, surroundings: Surroundings, conductor_c: float) -> float:
    """The largest of both forced convections and the natural one, as IEEE 738 recommends."""
    forced = forced_cooling_w_per_m(conductor, surroundings, conductor_c)
    return max(*forced, natural_cooling_w_per_m(conductor, surroundings, conductor_c))


def natural_cooling_w_per_m(conductor: Conductor, surroundings: Surroundings, conductor_c: float) -> float:
    """IEEE 738 equation (5a): cooling without wind."""
    density = air_film(surroundings, conductor_c).density_kg_per_m3
    convection = ieee738.convective_cooling
    return float(
        convection.compute_natural_convection(density, conductor.diameter_m, conductor_c, surroundings.ambient_c)
    )


def radiated_w_per_m(conductor: Conductor, surroundings: Surroundings, conductor_c: float) -> float:
    """π·D·σ·ε·[(Tc + 273)^4 − (Ta + 273)^4]; linerate cites equation (27) of CIGRE TB 601 for it."""
    return float(
        radiative_cooling.compute_radiative_cooling(
            surface_temperature=conductor_c,
            air_temperature=surroundings.ambient_c,
            conductor_diameter=conductor.diameter_m,
            conductor_emissivity=conductor.emissivity,
        )
    )


def solar_gain_w_per_m(conductor: Conductor, elevation_m: float, sun: Sun) -> float:
    """IEEE 738 equations (8), (9) and (16) to (20): heat from the sun."""
    hour_angle = solar_angles.compute_hour_angle_relative_to_noon(np.datetime64(sun.solar_time), 0.0)
    declination = solar_angles.compute_solar_declination(np.datetime64(sun.solar_time))
    sin_altitude = solar_angles.compute_sin_solar_altitude(sun.latitude_deg, declination, hour_angle)
    variable = solar_angles.compute_solar_azimuth_variable(sun.latitude_deg, declination, hour_angle)
    constant = solar_angles.compute_solar_azimuth_constant(variable, hour_angle)
    sin_incidence = solar_angles.compute_sin_solar_effective_incidence_angle(
        sin_altitude, solar_angles.compute_solar_azimuth(constant, variable), math.radians(sun.azimuth_deg)
    )
    at_sea_level = ieee738.solar_heating.compute_total_heat_flux_density(sin_altitude, sun.clear)
    elevation = ieee738.solar_heating.compute_solar_altitude_correction_factor(elevation_m)
    intensity = ieee738.solar_heating.compute_global_radiation_intensity(at_sea_level * elevation, sin_incidence)
    return float(solar_heating.compute_solar_heating(conductor.absorptivity, intensity, conductor.diameter_m))


def resistance_ohm_per_m(conductor: Conductor, conductor_c: float) -> float:
    """Linear between the two temperatures at which it is known, and beyond."""
    return float(
        joule_heating.compute_resistance(conductor_c, 25.0, 75.0, conductor.r25_ohm_per_m, conductor.r75_ohm_per_m)
    )


def spare_cooling_w_per_m(
    conductor: Conductor, surroundings: Surroundings, solar_w_per_m: float, conductor_c: float
) -> float:
    """qc + qr − qs: the Joule heat that the conductor can give away at that temperature; negative below balance."""
    convected = convective_cooling_w_per_m(conductor, surroundings, conductor_c)
    return convected + radiated_w_per_m(conductor, surroundings, conductor_c) - solar_w_per_m


def ampacity_a(conductor: Conductor, surroundings: Surroundings, solar_w_per_m: float, conductor_c: float) -> float:
    """I = sqrt((qc + qr − qs)/R(Tc)), IEEE 738: the steady current that keeps the conductor at ``conductor_c``.

    0 when the sun alone makes it hotter. Raises ``ValueError`` for inputs that are not finite.
    """
    require_finite(solar_w_per_m=solar_w_per_m, conductor_c=conductor_c)
    if conductor_c <= surroundings.ambient_c:
        return 0.0
    spare = spare_cooling_w_per_m(conductor, surroundings, solar_w_per_m, conductor_c)
    return math.sqrt(max(spare, 0.0) / resistance_ohm_per_m(conductor, conductor_c))


def steady_conductor_c(
    conductor: Conductor, surroundings: Surroundings, solar_w_per_m: float, current_a: float, highest_c: float = 400.0
) -> float:
    """Conductor temperature that a steady current ends at, found from above by bisection.

    Raises ``ValueError`` when it would lie above ``highest_c`` or an input is not finite.
    """
    require_finite(solar_w_per_m=solar_w_per_m, current_a=current_a)

    def cools(at_c: float) -> bool:
        joule = resistance_ohm_per_m(conductor, at_c) * current_a**2
        return spare_cooling_w_per_m(conductor, surroundings, solar_w_per_m, at_c) >= joule

    if not cools(highest_c):
        raise ValueError(f"{current_a} A would heat the conductor above {highest_c} °C")
    low, high = surroundings.ambient_c, highest_c
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if cools(middle) else (middle, high)
    return high
