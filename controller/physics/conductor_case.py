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

from controller.documents import DocumentError, block, number, optional_number, text
from controller.physics import conductor_thermal as ieee738
from controller.physics.conductor_cigre601 import Cigre601Site, heat_balance
from controller.physics.conductor_thermal import Conductor, Sun, Surroundings

CIGRE_PREFIX = "cigre601_example_"
DRAKE_DIAMETER_M = 0.0281  # as Annex E rounds it


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
    conductor_c = number(inputs, "max_conductor_C", "ieee738.inputs.")
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
        raise DocumentError(f"{key} is not an example of Annex E; expected one of {sorted(ANNEX_E)}")
    drake = block(block(document, "ieee738"), "inputs", "ieee738.")
    conductor = Conductor(
        diameter_m=DRAKE_DIAMETER_M,
        r25_ohm_per_m=number(drake, "R25_ohm_per_m", "ieee738.inputs."),
        r75_ohm_per_m=number(drake, "R75_ohm_per_m", "ieee738.inputs."),
        emissivity=optional_number(given, "emissivity", 0.8, where),
        absorptivity=optional_number(given, "absorptivity", 0.8, where),
    )
    surroundings = Surroundings(
        ambient_c=number(given, "ambient_C", where),
        wind_m_per_s=number(given, "wind_m_s", where),
        wind_angle_deg=number(given, "angle_deg", where),
        elevation_m=optional_number(given, "altitude_m", 0.0, where),
    )
    site = Cigre601Site(
        strand_diameter_m=annex.strand_diameter_m,
        inclination_deg=optional_number(given, "inclination_deg", 0.0, where),
        albedo=annex.albedo,
        clearness=annex.clearness,
    )
    balance = heat_balance(conductor, surroundings, annex.sun, site, number(given, "conductor_C", where))
    return {
        "qc_W_m": balance.convected_w_per_m,
        "qr_W_m": balance.radiated_w_per_m,
        "qs_W_m": balance.solar_w_per_m,
        "R_at_Tmax_ohm_per_m": balance.resistance_ohm_per_m,
        "ampacity_A": balance.ampacity_a,
    }


def _conductor(inputs: Mapping[str, Any]) -> Conductor:
    where = "ieee738.inputs."
    return Conductor(
        diameter_m=number(inputs, "diameter_m", where),
        r25_ohm_per_m=number(inputs, "R25_ohm_per_m", where),
        r75_ohm_per_m=number(inputs, "R75_ohm_per_m", where),
        emissivity=number(inputs, "emissivity", where),
        absorptivity=number(inputs, "absorptivity", where),
    )


def _surroundings(inputs: Mapping[str, Any]) -> Surroundings:
    where = "ieee738.inputs."
    return Surroundings(
        ambient_c=number(inputs, "ambient_C", where),
        wind_m_per_s=number(inputs, "wind_speed_m_s", where),
        wind_angle_deg=number(inputs, "wind_to_conductor_angle_deg", where),
        elevation_m=optional_number(inputs, "elevation_m", 0.0, where),
    )


def _sun(inputs: Mapping[str, Any]) -> Sun:
    where = "ieee738.inputs."
    written = text(inputs, "solar_time", where)
    try:
        solar_time = datetime.fromisoformat(written)
    except ValueError as error:
        raise DocumentError(f"{where}solar_time is {written!r}; expected YYYY-MM-DD HH:MM") from error
    atmosphere = text(inputs, "atmosphere", where)
    if atmosphere not in ("clear", "industrial"):
        raise DocumentError(f"{where}atmosphere is {atmosphere!r}; expected clear or industrial")
    return Sun(
        latitude_deg=number(inputs, "latitude_deg", where),
        azimuth_deg=number(inputs, "conductor_azimuth_deg", where),
        solar_time=solar_time,
        clear=atmosphere == "clear",
    )
