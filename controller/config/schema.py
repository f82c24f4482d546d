"""The whole site file as strict models. Units are those of the field, spelled in the key."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import LINE_OR_NOTHING, Name, Strict, about, name, names, number, text
from controller.config.schema_connection import CalendarModel, G100Model, MovesModel
from controller.config.schema_escalation import EscalationModel
from controller.config.schema_market import MarketModel
from controller.config.schema_national import NationalModel
from controller.config.schema_network import NetworkModel
from controller.config.schema_planning import PlanningModel
from controller.config.schema_platform import PlatformModel
from controller.config.schema_telemetry import SparkplugModel
from controller.config.schema_thermal import SeasonModel, WeatherModel
from controller.config.schema_units import DeviceModel, UnitModel


class SiteModel(Strict):
    """Who this is."""

    id: str = name("Short name, used in logs and records.")
    title: str = text("a line of text", LINE_OR_NOTHING, "What people call the site.", "", longest=120)
    timezone: str = text("an IANA time zone", r"^[A-Za-z0-9_+/-]+$", "Time zone of schedules and display.", "UTC")


class ThermalLimitModel(Strict):
    """The current of one line or transformer, either direction."""

    branch: str = name("Line or transformer.")
    i_max_a: float | None = number(
        "A", 1, 100_000, "Limit per phase (transformer: at the LV side); left out: rating, or s_max_mva.", None
    )
    seasons: tuple[SeasonModel, ...] = about("Ratings by time of year; other days: i_max_a or the rating.", ())


class VoltageLimitModel(Strict):
    """The voltage band of some buses: both percentages, or both voltages."""

    buses: tuple[Name, ...] = names("Buses the band holds for.")
    below_percent: float | None = number("percent", 0, 50, "How far below nominal is allowed.", None)
    above_percent: float | None = number("percent", 0, 50, "How far above nominal is allowed.", None)
    low_kv: float | None = number("kV", 0.05, 600, "Lowest voltage, line-to-line.", None)
    high_kv: float | None = number("kV", 0.05, 600, "Highest voltage, line-to-line.", None)
    mean_below_percent: float | None = number(
        "percent", 0, 50, "How far below nominal a 10-minute mean may be; with its other edge, or not at all.", None
    )
    mean_above_percent: float | None = number("percent", 0, 50, "How far above nominal a 10-minute mean may be.", None)


class LimitsModel(Strict):
    """What must never be exceeded. At least one limit is needed."""

    thermal: tuple[ThermalLimitModel, ...] = about("Currents.", ())
    voltage: tuple[VoltageLimitModel, ...] = about("Voltage bands.", ())
    export_kw: float | None = number("kW", 0, 10_000_000, "Most power out of the site at the interface.", None)
    import_kw: float | None = number("kW", 0, 10_000_000, "Most power into the site at the interface.", None)
    g100: G100Model | None = about("Limitation scheme of EREC G100; left out: none.", None)
    calendar: tuple[CalendarModel, ...] = about("Contract limits by time of day, weekday, season and date.", ())
    moves: MovesModel = about("How fast the controller itself may move things.", MovesModel())


class ControlModel(Strict):
    """Times of the fast loop, and who is curtailed first."""

    cycle_s: float = number("seconds", 0.1, 10, "Period of the fast loop.", 1.0)
    fail_safe_s: float = number(
        "seconds", 1, 60, "Latest time from losing a meter or a unit to every dependent output being safe.", 5.0
    )
    recovery_hold_s: float = number("seconds", 0, 3600, "How long all must be well again before limits relax.", 30.0)
    recovery_reads: int = number("readings", 1, 100, "Good readings before a lost unit is used again.", 3)
    unit_recovery_hold_s: float = number(
        "seconds", 0, 3600, "How long a lost unit must be heard before it is used again.", 30.0
    )
    instruction_h_max: float = number(
        "hours", 0.1, 168, "Longest time for which an operator's instruction holds.", 24.0
    )
    principle_of_access: Literal["lifo", "pro_rata", "merit", "technical_best"] = about(
        "Who is curtailed first: last connected, all alike, cheapest, or whoever helps most.", "merit"
    )
    escalation: EscalationModel = about("What happens when a limit stays exceeded.", EscalationModel())


class MeasurementModel(Strict):
    """What the meters are worth; one sigma and the bound of the bias, in percent of full scale."""

    latency_s: float = number("seconds", 0, 10, "Age of a value when it arrives.", 0.5)
    sigma_voltage_percent: float = number("percent", 0, 10, "Noise of voltages.", 0.1)
    sigma_current_percent: float = number("percent", 0, 10, "Noise of currents.", 0.3)
    sigma_power_percent: float = number("percent", 0, 10, "Noise of branch powers.", 0.3)
    sigma_unit_percent: float = number("percent", 0, 10, "Noise of what units report.", 0.4)
    bias_voltage_percent: float = number("percent", 0, 10, "Systematic error of voltages.", 0.1)
    bias_current_percent: float = number("percent", 0, 10, "Systematic error of currents.", 0.3)


class SiteFile(Strict):
    """A whole site file."""

    site: SiteModel = about("Who this is.")
    network: NetworkModel = about("The network.")
    units: tuple[UnitModel, ...] = about("What can be controlled.")
    devices: tuple[DeviceModel, ...] = about("Field hardware.")
    limits: LimitsModel = about("What must never be exceeded.")
    control: ControlModel = about("The fast loop.", ControlModel())
    measurement: MeasurementModel = about("What the meters are worth.", MeasurementModel())
    weather: WeatherModel = about(
        "Weather assumed when nothing measures it, and where forecasts come from.", WeatherModel()
    )
    platform: PlatformModel = about("The balancing platform.", PlatformModel())
    sparkplug: SparkplugModel | None = about("Telemetry to a fleet's broker; left out: none.", None)
    market: MarketModel | None = about("The flexibility market; left out: none.", None)
    planning: PlanningModel | None = about("Storage that looks ahead; left out: it does not.", None)
    national: NationalModel | None = about("A national balancing market; left out: nothing is offered.", None)
