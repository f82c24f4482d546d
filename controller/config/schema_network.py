"""Site file, section ``network``: source, buses, lines, transformers and the loads that nobody controls."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import Strict, about, name, number
from controller.config.schema_thermal import CableModel, OverheadModel, ThermalModel


class SourceModel(Strict):
    """The upstream network, as a voltage behind its short-circuit impedance."""

    bus: str = name("Bus where the upstream network connects.")
    s_sc_mva: float = number("MVA", 1, 100_000, "Short-circuit power of the upstream network at that bus.")
    rx_ratio: float = number("ratio", 0, 10, "R/X of the short-circuit impedance.", 0.1)
    u_percent: float = number(
        "percent", 80, 120, "Expected voltage in percent of nominal, used until a measurement says better.", 100.0
    )


class BusModel(Strict):
    """A busbar or node."""

    id: str = name("Name of the bus.")
    u_nominal_kv: float = number("kV", 0.1, 500, "Nominal voltage, line-to-line.")


class LineModel(Strict):
    """An overhead line or a cable."""

    id: str = name("Name of the line.")
    from_bus: str = name("Bus at the source side, where its meter sits; positive flow leaves this bus.")
    to_bus: str = name("Bus at the load side.")
    length_km: float = number("km", 0.001, 500, "Route length.")
    r_ohm_per_km: float | None = number(
        "ohm/km",
        0,
        20,
        "Series resistance per phase at operating temperature. Left out together with `x_ohm_per_km` where nobody knows"
        " them: the box starts from cautious type values, learns how voltages react, and keeps more room until then.",
        None,
    )
    x_ohm_per_km: float | None = number(
        "ohm/km", 0, 20, "Series reactance per phase; left out with the resistance.", None
    )
    c_uf_per_km: float = number("uF/km", 0, 5, "Working capacitance per phase; about 0.01 overhead, 0.3 cable.", 0.0)
    parallel: int = number("count", 1, 8, "Equal circuits in parallel, each with the values given here.", 1)
    i_rated_a: float = number("A", 1, 10_000, "Static rating of one circuit, per phase.")
    overhead: OverheadModel | None = about("A bare conductor whose rating follows the weather.", None)
    cable: CableModel | None = about("A cable whose rating follows what it carried before.", None)


class TapModel(Strict):
    """The tap changer, on the HV side; a higher position means more turns there, so a lower voltage below."""

    position: int = number("step", -50, 50, "Present position, used until a measurement says better.", 0)
    lowest: int = number("step", -50, 50, "Lowest position.")
    highest: int = number("step", -50, 50, "Highest position.")
    step_percent: float = number("percent", 0.01, 10, "Voltage of one step, in percent of the HV rating.")


class TransformerModel(Strict):
    """A two-winding transformer; its meter sits at the lower-voltage side."""

    id: str = name("Name of the transformer.")
    hv_bus: str = name("Bus at the higher-voltage side.")
    lv_bus: str = name("Bus at the lower-voltage side.")
    s_rated_mva: float = number("MVA", 0.01, 2000, "Nameplate rating.")
    u_hv_kv: float = number("kV", 0.1, 500, "Rated voltage of the HV winding, at the middle tap.")
    u_lv_kv: float = number("kV", 0.1, 500, "Rated voltage of the LV winding.")
    uk_percent: float = number("percent", 0.5, 30, "Short-circuit voltage.")
    load_loss_kw: float = number("kW", 0, 10_000, "Load loss at rated current.")
    no_load_loss_kw: float = number("kW", 0, 2000, "No-load loss at rated voltage.")
    no_load_current_percent: float = number("percent", 0, 10, "No-load current.", 0.3)
    s_max_mva: float | None = number("MVA", 0.001, 2000, "Static loading to be kept; left out: the nameplate.", None)
    cooling: Literal[
        "DISTRIBUTION", "ONAN", "ONAN_RESTRICTED", "ONAF", "ONAF_RESTRICTED", "OF", "OF_RESTRICTED", "OD"
    ] = about("Column of the IEC 60076-7 table of characteristics; DISTRIBUTION is a small ONAN transformer.", "ONAN")
    tap: TapModel | None = about("Tap changer; left out: fixed ratio.", None)
    thermal: ThermalModel | None = about("Hot-spot model; left out: the static rating holds always.", None)


class BandKw(Strict):
    """What is credible: least, usual and most."""

    min: float = number("kW", 0, 1_000_000, "Least that is credible.")
    expected: float = number("kW", 0, 1_000_000, "What is usual; used until a measurement says better.")
    max: float = number("kW", 0, 1_000_000, "Most that is credible; what an unmeasured load counts as in a worst case.")


class LoadModel(Strict):
    """Demand, or generation, that nobody controls. Consumption and generation may both be given; they are summed."""

    id: str = name("Name of the load.")
    bus: str = name("Bus it is connected to.")
    consumption_kw: BandKw | None = about("What it takes from the network.", None)
    generation_kw: BandKw | None = about("What it feeds into the network, for example uncontrolled rooftop PV.", None)
    power_factor: float = number("ratio", 0.5, 1, "Power factor of the consumption, inductive.", 0.97)


class NetworkModel(Strict):
    """The network from the upstream connection down to the units."""

    f_hz: float = number("Hz", 16, 65, "Nominal frequency.", 50.0)
    source: SourceModel = about("The upstream network.")
    buses: tuple[BusModel, ...] = about("All buses.")
    lines: tuple[LineModel, ...] = about("Overhead lines and cables.", ())
    transformers: tuple[TransformerModel, ...] = about("Two-winding transformers.", ())
    loads: tuple[LoadModel, ...] = about("Demand and generation that nobody controls.", ())
