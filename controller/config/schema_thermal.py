"""Site file: how transformers, lines and cables warm up, ratings by season, and the weather to be assumed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.config.fields import Strict, about, name, number, series, text
from controller.config.schema_weather import WeatherServiceModel

_DAY_LOOKS = "month and day, such as 05-01"
_DAY_PATTERN = r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
Month = Annotated[int, Field(ge=1, le=12, json_schema_extra={"unit": "months 1…12"})]
Celsius = Annotated[float, Field(ge=-50, le=60, json_schema_extra={"unit": "degC -50…60"})]


class ThermalModel(Strict):
    """What the hot-spot model of IEC 60076-7 needs; a key left out takes the recommended value of the cooling class.

    With this block the limit of the transformer moves: below the static rating when it is hot, and above it when it is
    cold, as far as `load_percent_max` allows. Feed `branch.<id>.top_oil_c` where there is a sensor.
    """

    top_oil_rise_k: float | None = number("K", 1, 120, "Top-oil rise over ambient at rated loss (heat run).", None)
    hot_spot_gradient_k: float | None = number(
        "K", 1, 90, "Hot spot over top oil at rated current: hot-spot factor H times winding gradient gr.", None
    )
    oil_exponent: float | None = number("exponent", 0.1, 2, "Oil exponent x.", None)
    winding_exponent: float | None = number("exponent", 0.5, 3, "Winding exponent y.", None)
    k11: float | None = number("constant", 0.1, 3, "Thermal model constant k11.", None)
    k21: float | None = number("constant", 1, 5, "Thermal model constant k21.", None)
    k22: float | None = number("constant", 0.5, 5, "Thermal model constant k22.", None)
    tau_oil_min: float | None = number("minutes", 1, 1000, "Oil time constant.", None)
    tau_winding_min: float | None = number("minutes", 0.5, 100, "Winding time constant.", None)
    hot_spot_c_max: float = number("degC", 60, 180, "Highest hot-spot temperature allowed.", 120.0)
    top_oil_c_max: float = number("degC", 50, 130, "Highest top-oil temperature allowed.", 105.0)
    load_percent_max: float | None = number(
        "percent",
        50,
        200,
        "Short-time cap in percent of nameplate current (tap changer, bushings); left out: never above the rating.",
        None,
    )
    horizon_min: float = number("minutes", 5, 240, "How long the load that is allowed now could be held.", 30.0)
    ageing_rate_max: float | None = number(
        "ratio", 0.1, 20, "Mean relative ageing rate of a day to be kept; left out: counted, not limited.", None
    )
    paper: Literal["normal", "upgraded"] = about("Insulation paper: normal kraft or thermally upgraded.", "normal")
    ambient_c: float | None = number(
        "degC", -50, 60, "Ambient temperature assumed when nothing measures it; left out: as in weather.", None
    )
    ambient_surcharge_k: float = number("K", 0, 40, "Added to every ambient temperature: a closed room.", 0.0)
    oil_tolerance_k: float = number(
        "K", 3, 40, "How far a top-oil sensor may lie outside what the model can explain.", 15.0
    )


class OverheadModel(Strict):
    """A bare conductor in the air: its rating follows the weather (IEEE 738), as far as `load_percent_max` allows.

    Feed `ambient.temp_c`, and where there are sensors `ambient.wind_m_per_s`, `.wind_deg` and `.solar_w_per_m2`. While
    the air temperature is not measured, the static rating is never exceeded.
    """

    diameter_mm: float = number("mm", 3, 80, "Outer diameter of the conductor.")
    r25_ohm_per_km: float = number("ohm/km", 0.005, 5, "AC resistance at 25 °C.")
    r75_ohm_per_km: float = number("ohm/km", 0.005, 6, "AC resistance at 75 °C.")
    conductor_c_max: float = number("degC", 40, 250, "Highest conductor temperature (clearance, joints).")
    emissivity: float = number("ratio", 0.1, 1, "Emissivity; 0.2 new, 0.8 weathered.", 0.8)
    absorptivity: float = number("ratio", 0.1, 1, "Absorption of sunlight; 0.2 new, 0.8 weathered.", 0.8)
    elevation_m: float = number("m", -100, 5000, "Height above sea level.", 0.0)
    azimuth_deg: float | None = number(
        "degrees", 0, 360, "Direction of the line, east of north; left out: it winds, wind counts as along it.", None
    )
    wind_percent: float = number("percent", 0, 100, "Share of the measured wind at the most sheltered span.", 50.0)
    load_percent_max: float = number("percent", 50, 200, "Cap in percent of the static rating.", 100.0)


class CableModel(Strict):
    """A cable with one thermal time constant: a cool one may carry more for a while, a hot one less."""

    rated_c: float = number("degC", 40, 130, "Conductor temperature at the static rating; XLPE 90.", 90.0)
    emergency_c: float = number("degC", 40, 150, "Conductor temperature allowed in an emergency; XLPE 105.", 90.0)
    emergency_h_per_year: float = number("hours", 0, 500, "How long a year it may lie above rated_c.", 0.0)
    ground_c: float = number("degC", -20, 60, "Temperature of ground or air that the static rating is for.", 20.0)
    time_constant_min: float = number("minutes", 5, 3000, "Thermal time constant: hours when buried, 20…60 in air.")
    resistance_ratio: float = number("ratio", 1, 1.5, "Resistance at emergency_c over that at rated_c.", 1.05)
    horizon_min: float = number("minutes", 5, 600, "How long the load that is allowed now could be held.", 60.0)
    load_percent_max: float = number("percent", 50, 200, "Cap in percent of the static rating.", 100.0)


class SeasonModel(Strict):
    """A rating for a part of the year: `months`, or `first_day` to `last_day` (over New Year too)."""

    name: str = name("Name of the season, shown as cause.")
    months: tuple[Month, ...] = series("a list of months 1…12", 12, "Whole months.")
    first_day: str | None = text(_DAY_LOOKS, _DAY_PATTERN, "First day, at the site's local midnight.", None)
    last_day: str | None = text(_DAY_LOOKS, _DAY_PATTERN, "Last day, to the site's local midnight after it.", None)
    i_max_a: float = number("A", 1, 100_000, "Rating in this season, per phase (transformer: at the LV side).")


class WeatherModel(Strict):
    """Weather assumed when nothing measures it: the hard end of what to expect. Points are `ambient.*`."""

    ambient_c: float = number("degC", -50, 60, "Air temperature, all year.", 30.0)
    ambient_by_month_c: tuple[Celsius, ...] = series(
        "a list of 12 temperatures", 12, "The same for every month, January first; in place of ambient_c."
    )
    wind_m_per_s: float = number("m/s", 0, 5, "Wind speed at the most sheltered span.", 0.5)
    wind_angle_deg: float = number("degrees", 0, 90, "Angle between wind and line; 0: along it.", 45.0)
    solar_w_per_m2: float = number("W/m2", 0, 1500, "Sunshine on a conductor.", 1000.0)
    forecast: WeatherServiceModel | None = about("Where forecasts of the weather come from; left out: nowhere.", None)
