"""From field units to SI for everything that warms up. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.schema_network import LineModel, TransformerModel
from controller.config.schema_thermal import CableModel, OverheadModel, SeasonModel, WeatherModel
from controller.domain.thermal import MONTHS, CableThermal, DesignWeather, Overhead, Season, TransformerThermal
from controller.physics.transformer_characteristics import Cooling, default_parameters

MINUTE_S, HOUR_S = 60.0, 3600.0
LAST_DAY_OF_ANY_MONTH = 31
LOSS_RATIO_MAX = 1000.0  # a transformer without any no-load loss to speak of


def to_thermal(item: TransformerModel) -> TransformerThermal | None:
    """What the file states, and the recommended characteristics of the cooling class for the rest."""
    given = item.thermal
    if given is None:
        return None
    usual = default_parameters(Cooling(item.cooling.lower()), loss_ratio(item))

    def chosen(stated: float | None, recommended: float, scale: float = 1.0) -> float:
        return recommended if stated is None else stated * scale

    return TransformerThermal(
        top_oil_rise_k=chosen(given.top_oil_rise_k, usual.top_oil_rise_k),
        hot_spot_gradient_k=chosen(given.hot_spot_gradient_k, usual.hot_spot_gradient_k),
        loss_ratio=usual.loss_ratio,
        oil_exponent=chosen(given.oil_exponent, usual.oil_exponent),
        winding_exponent=chosen(given.winding_exponent, usual.winding_exponent),
        k11=chosen(given.k11, usual.k11),
        k21=chosen(given.k21, usual.k21),
        k22=chosen(given.k22, usual.k22),
        tau_oil_s=chosen(given.tau_oil_min, usual.tau_oil_s, MINUTE_S),
        tau_winding_s=chosen(given.tau_winding_min, usual.tau_winding_s, MINUTE_S),
        hot_spot_c_max=given.hot_spot_c_max,
        top_oil_c_max=given.top_oil_c_max,
        load_pu_max=short_time_pu(item),
        horizon_s=given.horizon_min * MINUTE_S,
        upgraded_paper=given.paper == "upgraded",
        ageing_rate_max=given.ageing_rate_max,
        ambient_c=given.ambient_c,
        ambient_surcharge_k=given.ambient_surcharge_k,
        oil_tolerance_k=given.oil_tolerance_k,
    )


def loss_ratio(item: TransformerModel) -> float:
    """R of IEC 60076-7: load loss over no-load loss at rated current."""
    if item.no_load_loss_kw * LOSS_RATIO_MAX <= item.load_loss_kw:
        return LOSS_RATIO_MAX
    return max(item.load_loss_kw / item.no_load_loss_kw, 1.0 / LOSS_RATIO_MAX)


def static_pu(item: TransformerModel) -> float:
    """The static rating per unit of the nameplate."""
    return 1.0 if item.s_max_mva is None else item.s_max_mva / item.s_rated_mva


def short_time_pu(item: TransformerModel) -> float:
    """The absolute cap per unit of nameplate current: the static rating unless the file allows more."""
    given = item.thermal
    if given is None or given.load_percent_max is None:
        return static_pu(item)
    return max(given.load_percent_max / 100.0, static_pu(item))


def to_overhead(line: LineModel) -> Overhead | None:
    """Per metre and circuit."""
    given: OverheadModel | None = line.overhead
    if given is None:
        return None
    return Overhead(
        diameter_m=given.diameter_mm / 1e3,
        r25_ohm_per_m=given.r25_ohm_per_km / 1e3,
        r75_ohm_per_m=given.r75_ohm_per_km / 1e3,
        conductor_c_max=given.conductor_c_max,
        emissivity=given.emissivity,
        absorptivity=given.absorptivity,
        elevation_m=given.elevation_m,
        azimuth_deg=given.azimuth_deg,
        wind_share_frac=given.wind_percent / 100.0,
        circuits=line.parallel,
        load_pu_max=given.load_percent_max / 100.0,
    )


def to_cable(line: LineModel) -> CableThermal | None:
    """Minutes and hours become seconds."""
    given: CableModel | None = line.cable
    if given is None:
        return None
    return CableThermal(
        rated_c=given.rated_c,
        emergency_c=given.emergency_c,
        ambient_c=given.ground_c,
        time_constant_s=given.time_constant_min * MINUTE_S,
        resistance_ratio=given.resistance_ratio,
        horizon_s=given.horizon_min * MINUTE_S,
        emergency_s_per_year=given.emergency_h_per_year * HOUR_S,
        load_pu_max=given.load_percent_max / 100.0,
    )


def to_season(item: SeasonModel) -> Season:
    """Months and days become spans of days."""
    spans = [((month, 1), (month, LAST_DAY_OF_ANY_MONTH)) for month in item.months]
    if item.first_day is not None and item.last_day is not None:
        spans.append((_day(item.first_day), _day(item.last_day)))
    return Season(item.name, tuple(spans), item.i_max_a)


def _day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)


def to_weather(item: WeatherModel) -> DesignWeather:
    """Twelve months, whichever way they are stated."""
    ambient_c = item.ambient_by_month_c or (item.ambient_c,) * MONTHS
    return DesignWeather(ambient_c, item.wind_m_per_s, item.wind_angle_deg, item.solar_w_per_m2)
