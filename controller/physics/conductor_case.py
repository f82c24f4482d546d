"""Overhead-line examples as a file: the part of ``gridedge thermal`` for conductors.

A file has a block ``ieee738`` with ``inputs``, and blocks ``cigre601_example_…`` that state their weather under
``published``; what such a block leaves out is taken from the IEEE block and from Annex E of the brochure (example A:
30° north, 10 June 11:00, line east to west; example B: 50° north, 3 October 14:00, line south to north, strands of
2.2 mm, half-clear sky, albedo 0.15, as in the acceptance tests of statnett/linerate).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.documents import DocumentError, between, block, shown, text
from controller.physics import conductor_thermal as ieee738
from controller.physics.conductor_cigre601 import Cigre601Site, heat_balance
from controller.physics.conductor_thermal import Conductor, Sun, Surroundings

CIGRE_PREFIX = "cigre601_example_"
DRAKE_DIAMETER_M = 0.0281  # as Annex E rounds it

DIAMETER_M = (1e-3, 0.1)
RESISTANCE_OHM_PER_M = (1e-7, 0.1)
PER_UNIT = (0.0, 1.0)
AMBIENT_C = (-100.0, 100.0)
CONDUCTOR_C_MAX = 400.0
WIND_M_PER_S = (0.0, 100.0)
ACROSS_DEG = (0.0, 90.0)
INCLINATION_DEG = (0.0, 60.0)
ELEVATION_M = (-500.0, 9000.0)
CIRCLE_DEG = (-360.0, 360.0)
LATITUDE_DEG = (-90.0, 90.0)


@dataclass(frozen=True, slots=True)
class _Annex:
    """Constants of an example of Annex E."""

    sun: Sun
    strand_diameter_m: float
    albedo: float
    clearness: float


ANNEX_E = {
    "A": _Annex(Sun(30.0, 90.0, datetime(2016, 6, 10, 11)), 4.4e-3, 0.1, 1.0),  # noqa: DTZ001 - solar time, no zone
    "B": _Annex(Sun(50.0, 0.0, datetime(2016, 10, 3, 14)), 2.2e-3, 0.15, 0.5),  # noqa: DTZ001 - solar time, no zone
}


def is_conductor_file(document: Mapping[str, Any]) -> bool:
    """Whether the file speaks of conductors at all."""
    return "ieee738" in document or any(key.startswith(CIGRE_PREFIX) for key in document)


def conductor_results(document: Mapping[str, Any]) -> dict[str, Any]:
    """All blocks of the file, computed. Raises ``DocumentError``."""
    out: dict[str, Any] = {}
    if "ieee738" in document:
        out["ieee738"] = _ieee738(block(block(document, "ieee738"), "inputs", "ieee738."))
    for key in document:
        if key.startswith(CIGRE_PREFIX):
            out[key] = _cigre601(document, key)
    return out


def _ieee738(inputs: Mapping[str, Any]) -> dict[str, float]:
    conductor, surroundings, sun = _conductor(inputs), _surroundings(inputs), _sun(inputs)
    conductor_c = _conductor_c(inputs, "max_conductor_C", surroundings, "ieee738.inputs.")
    solar = ieee738.solar_gain_w_per_m(conductor, surroundings.elevation_m, sun)
    air = ieee738.air_film(surroundings, conductor_c)
    low_wind, high_wind = ieee738.forced_cooling_w_per_m(conductor, surroundings, conductor_c)
    return {
        "air_density_kg_m3": air.density_kg_per_m3,
        "air_viscosity_kg_m_s": air.viscosity_kg_per_ms,
        "air_conductivity_W_mK": air.conductivity_w_per_mk,
        "reynolds": ieee738.reynolds_number(conductor, surroundings, conductor_c),
        "qcn_W_m": ieee738.natural_cooling_w_per_m(conductor, surroundings, conductor_c),
        "qc1_W_m": low_wind,
        "qc2_W_m": high_wind,
        "convective_W_per_m": ieee738.convective_cooling_w_per_m(conductor, surroundings, conductor_c),
        "qr_W_m": ieee738.radiated_w_per_m(conductor, surroundings, conductor_c),
        "qs_W_m": solar,
        "R100_ohm_per_m": ieee738.resistance_ohm_per_m(conductor, 100.0),
        "R_at_Tmax_ohm_per_m": ieee738.resistance_ohm_per_m(conductor, conductor_c),
        "ampacity_A": ieee738.ampacity_a(conductor, surroundings, solar, conductor_c),
    }


def _cigre601(document: Mapping[str, Any], key: str) -> dict[str, float]:
    where = f"{key}.published."
    given = block(block(document, key), "published", f"{key}.")
    annex = ANNEX_E.get(key.removeprefix(CIGRE_PREFIX))
    if annex is None:
        raise DocumentError(f"{shown(key)} is not an example of Annex E; expected one of {sorted(ANNEX_E)}")
    r25, r75 = _resistances(block(block(document, "ieee738"), "inputs", "ieee738."))
    conductor = Conductor(
        diameter_m=DRAKE_DIAMETER_M,
        r25_ohm_per_m=r25,
        r75_ohm_per_m=r75,
        emissivity=_or(0.8, given, "emissivity", PER_UNIT, where),
        absorptivity=_or(0.8, given, "absorptivity", PER_UNIT, where),
    )
    surroundings = Surroundings(
        ambient_c=between(given, "ambient_C", *AMBIENT_C, where),
        wind_m_per_s=between(given, "wind_m_s", *WIND_M_PER_S, where),
        wind_angle_deg=between(given, "angle_deg", *ACROSS_DEG, where),
        elevation_m=_or(0.0, given, "altitude_m", ELEVATION_M, where),
    )
    site = Cigre601Site(
        strand_diameter_m=annex.strand_diameter_m,
        inclination_deg=_or(0.0, given, "inclination_deg", INCLINATION_DEG, where),
        albedo=annex.albedo,
        clearness=annex.clearness,
    )
    balance = heat_balance(
        conductor, surroundings, annex.sun, site, _conductor_c(given, "conductor_C", surroundings, where)
    )
    return {
        "qc_W_m": balance.convected_w_per_m,
        "qr_W_m": balance.radiated_w_per_m,
        "qs_W_m": balance.solar_w_per_m,
        "R_at_Tmax_ohm_per_m": balance.resistance_ohm_per_m,
        "ampacity_A": balance.ampacity_a,
    }


def _or(default: float, given: Mapping[str, Any], key: str, limits: tuple[float, float], where: str) -> float:
    return between(given, key, *limits, where) if key in given else default


def _conductor_c(given: Mapping[str, Any], key: str, surroundings: Surroundings, where: str) -> float:
    """The temperature that the conductor is to have; colder than the air it carries nothing."""
    return between(given, key, surroundings.ambient_c, CONDUCTOR_C_MAX, where)


def _resistances(given: Mapping[str, Any]) -> tuple[float, float]:
    """At 25 °C and 75 °C; a metal has the higher one when it is hot."""
    where = "ieee738.inputs."
    r25 = between(given, "R25_ohm_per_m", *RESISTANCE_OHM_PER_M, where)
    return r25, between(given, "R75_ohm_per_m", r25, RESISTANCE_OHM_PER_M[1], where)


def _conductor(inputs: Mapping[str, Any]) -> Conductor:
    where = "ieee738.inputs."
    r25, r75 = _resistances(inputs)
    return Conductor(
        diameter_m=between(inputs, "diameter_m", *DIAMETER_M, where),
        r25_ohm_per_m=r25,
        r75_ohm_per_m=r75,
        emissivity=between(inputs, "emissivity", *PER_UNIT, where),
        absorptivity=between(inputs, "absorptivity", *PER_UNIT, where),
    )


def _surroundings(inputs: Mapping[str, Any]) -> Surroundings:
    where = "ieee738.inputs."
    return Surroundings(
        ambient_c=between(inputs, "ambient_C", *AMBIENT_C, where),
        wind_m_per_s=between(inputs, "wind_speed_m_s", *WIND_M_PER_S, where),
        wind_angle_deg=between(inputs, "wind_to_conductor_angle_deg", *ACROSS_DEG, where),
        elevation_m=_or(0.0, inputs, "elevation_m", ELEVATION_M, where),
    )


def _sun(inputs: Mapping[str, Any]) -> Sun:
    where = "ieee738.inputs."
    written = text(inputs, "solar_time", where)
    try:
        solar_time = datetime.fromisoformat(written)
    except ValueError as error:
        raise DocumentError(f"{where}solar_time is {shown(written)}; expected YYYY-MM-DD HH:MM") from error
    if solar_time.tzinfo is not None:
        raise DocumentError(f"{where}solar_time is {shown(written)}; expected it without a zone: it is the sun's own")
    atmosphere = text(inputs, "atmosphere", where)
    if atmosphere not in ("clear", "industrial"):
        raise DocumentError(f"{where}atmosphere is {shown(atmosphere)}; expected clear or industrial")
    return Sun(
        latitude_deg=between(inputs, "latitude_deg", *LATITUDE_DEG, where),
        azimuth_deg=between(inputs, "conductor_azimuth_deg", *CIRCLE_DEG, where),
        solar_time=solar_time,
        clear=atmosphere == "clear",
    )
