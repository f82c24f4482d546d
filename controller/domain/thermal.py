"""What is known of how the elements of a network warm up and cool down, in SI; the models that use it are physics."""

from __future__ import annotations

from dataclasses import dataclass

MONTHS = 12


@dataclass(frozen=True, slots=True)
class TransformerThermal:
    """Characteristics of one transformer in the model of IEC 60076-7, and what its loading may reach.

    ``hot_spot_gradient_k`` is H·gr, ``loss_ratio`` R; the rest are that standard's symbols. ``load_pu_max`` is the
    absolute cap in per unit of the nameplate current. ``ageing_rate_max`` bounds the mean relative ageing rate of a
    day, None leaves it free. ``ambient_c`` is assumed when nothing measures it (None: the site's design weather);
    ``ambient_surcharge_k`` is added to every ambient temperature (closed room). A measured top-oil temperature further
    than ``oil_tolerance_k`` outside what the model can explain is not believed.
    """

    top_oil_rise_k: float
    hot_spot_gradient_k: float
    loss_ratio: float
    oil_exponent: float
    winding_exponent: float
    k11: float
    k21: float
    k22: float
    tau_oil_s: float
    tau_winding_s: float
    hot_spot_c_max: float = 120.0
    top_oil_c_max: float = 105.0
    load_pu_max: float = 1.0
    horizon_s: float = 1800.0
    upgraded_paper: bool = False
    ageing_rate_max: float | None = None
    ambient_c: float | None = None
    ambient_surcharge_k: float = 0.0
    oil_tolerance_k: float = 15.0


@dataclass(frozen=True, slots=True)
class Overhead:
    """A bare conductor in the air (IEEE 738); resistances are AC, per metre, of one circuit.

    ``azimuth_deg`` is the line's direction east of north, None when it winds; ``wind_share_frac`` is how much of the
    measured wind reaches the most sheltered span. ``load_pu_max`` is the absolute cap in per unit of the static rating
    (joints, current transformers, switchgear).
    """

    diameter_m: float
    r25_ohm_per_m: float
    r75_ohm_per_m: float
    conductor_c_max: float
    emissivity: float = 0.8
    absorptivity: float = 0.8
    elevation_m: float = 0.0
    azimuth_deg: float | None = None
    wind_share_frac: float = 0.5
    circuits: int = 1
    load_pu_max: float = 1.0


@dataclass(frozen=True, slots=True)
class CableThermal:
    """One thermal time constant of a cable: ``rated_c`` at the static rating in ground (or air) at ``ambient_c``.

    ``emergency_c`` may be reached for at most ``emergency_s_per_year``. ``resistance_ratio`` is R(emergency)/R(rated).
    """

    rated_c: float
    emergency_c: float
    ambient_c: float
    time_constant_s: float
    resistance_ratio: float = 1.0
    horizon_s: float = 3600.0
    emergency_s_per_year: float = 0.0
    load_pu_max: float = 1.0


@dataclass(frozen=True, slots=True)
class DesignWeather:
    """Weather that is assumed when nothing measures it: the hard end of what a month brings.

    ``ambient_c`` holds twelve values, January first. The wind is across the line at ``wind_angle_deg`` (0: along it);
    ``solar_w_per_m2`` shines on every conductor by day and night.
    """

    ambient_c: tuple[float, ...] = (30.0,) * MONTHS
    wind_m_per_s: float = 0.5
    wind_angle_deg: float = 45.0
    solar_w_per_m2: float = 1000.0


@dataclass(frozen=True, slots=True)
class Season:
    """A rating, A, for some days of the year: ``spans`` of (month, day), both ends included, New Year inside or not.

    Without spans it is for all days that no other season covers.
    """

    name: str
    spans: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    rated_a: float

    def covers(self, month: int, day: int) -> bool:
        """Whether that day lies in one of the spans."""
        today = (month, day)
        return any(a <= today <= b if a <= b else (today >= a or today <= b) for a, b in self.spans)
