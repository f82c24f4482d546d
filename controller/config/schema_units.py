"""Site file, sections ``units`` and ``devices``: what can be controlled, and the hardware that reports and commands."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import LINE_OR_NOTHING, Strict, about, name, number, text


class ActuatorModel(Strict):
    """How the unit follows a set point. Ramps are magnitudes: up is toward more of what it does (a battery: more
    generation), down toward less."""

    latency_s: float = number("seconds", 0, 120, "Dead time from the write to the first movement.", 1.0)
    tau_p_s: float = number("seconds", 0, 300, "Time constant of active power.", 1.0)
    tau_q_s: float = number("seconds", 0, 300, "Time constant of reactive power.", 1.0)
    ramp_up_kw_per_s: float | None = number(
        "kW/s", 0.001, 1_000_000, "Fastest rise; left out: rated power in 10 s.", None
    )
    ramp_down_kw_per_s: float | None = number(
        "kW/s", 0.001, 1_000_000, "Fastest fall; left out: rated power in 10 s.", None
    )


class StorageModel(Strict):
    """Energy content of a battery."""

    e_rated_kwh: float = number("kWh", 0.1, 10_000_000, "Usable energy from empty to full.")
    soc_min_percent: float = number("percent", 0, 100, "Never discharged below this.", 5.0)
    soc_max_percent: float = number("percent", 0, 100, "Never charged above this.", 95.0)
    soc_initial_percent: float = number("percent", 0, 100, "State of charge assumed until it is measured.", 50.0)
    efficiency_charge_percent: float = number("percent", 50, 100, "One-way efficiency of charging.", 96.0)
    efficiency_discharge_percent: float = number("percent", 50, 100, "One-way efficiency of discharging.", 96.0)


class FailSafeModel(Strict):
    """Where the unit goes when control is lost. Give one of the two powers; both left out is refused.

    For ``pv``, ``wind`` and ``generator``: ``generation_kw``, the most it may then generate. For ``ev_hub`` and
    ``flex_load``: ``consumption_kw``, the most it may then take. For a ``battery``: the power itself, either way.
    """

    generation_kw: float | None = number("kW", 0, 1_000_000, "Generation (battery: discharging) when safe.", None)
    consumption_kw: float | None = number("kW", 0, 1_000_000, "Consumption (battery: charging) when safe.", None)
    q_kvar: float = number(
        "kvar", -1_000_000, 1_000_000, "Reactive power when safe; positive absorbs (inductive).", 0.0
    )
    lease_s: float = number("seconds", 1, 3600, "How long the device keeps a set point that is not refreshed.", 15.0)


class UnitModel(Strict):
    """One controllable unit. Every power is a magnitude; the key says the direction."""

    id: str = name("Name of the unit.")
    title: str = text("a line of text", LINE_OR_NOTHING, "What people call it.", "", longest=80)
    kind: Literal["pv", "wind", "generator", "battery", "ev_hub", "flex_load"] = about(
        "What it is; decides what a set point means (a cap on generation, a cap on consumption, or the power itself)."
    )
    bus: str = name("Bus it is connected to.")
    p_rated_kw: float = number("kW", 0.1, 1_000_000, "Rated active power.")
    s_rated_kva: float | None = number("kVA", 0.1, 1_500_000, "Rated apparent power; left out: the rated power.", None)
    q_max_kvar: float = number("kvar", 0, 1_000_000, "Most reactive power it may use, either way; 0: none.", 0.0)
    generation_max_kw: float | None = number(
        "kW", 0, 1_000_000, "Most it can generate; left out: rated (0 for consumers).", None
    )
    generation_min_kw: float = number("kW", 0, 1_000_000, "Least it generates while running.", 0.0)
    consumption_max_kw: float | None = number(
        "kW", 0, 1_000_000, "Most it can take; left out: rated (0 for generators).", None
    )
    consumption_min_kw: float = number("kW", 0, 1_000_000, "Least it takes while running.", 0.0)
    price_eur_per_mwh: float = number(
        "EUR/MWh", 0, 10_000, "Cost of not using it (battery: of throughput); the merit order.", 50.0
    )
    stack_position: int = number("place", 0, 1000, "Place in the LIFO stack; 1 is curtailed first, 0 is outside.", 0)
    connected_on: str = text("a date YYYY-MM-DD", r"^(\d{4}-\d{2}-\d{2})?$", "Date of connection.", "", longest=10)
    group: str = text("a name", r"^[A-Za-z0-9_-]*$", "Units of one group share curtailment alike.", "", longest=40)
    release_kw_per_min: float | None = number(
        "kW/min", 0.1, 10_000_000, "Contract ramp: how fast its set point may relax; left out: at once.", None
    )
    reports_available: bool = about("The device reports what the unit could generate now (p_avail_w).", False)
    actuator: ActuatorModel = about("How it follows a set point.", ActuatorModel())
    storage: StorageModel | None = about("Energy content; needed for a battery, refused for anything else.", None)
    fail_safe: FailSafeModel = about("Where it goes when control is lost.")


_PATH_LOOKS, _PATH = "an absolute path", r"^/[^\n]+$"


class OptionsModel(Strict):
    """How the connection of a device is secured: Modbus/TLS and OPC UA. Devices behind one endpoint say the same."""

    ca_file: str | None = text(
        _PATH_LOOKS, _PATH, "PEM certificates of the authority that signed the device's certificate.", None
    )
    server_certificate_file: str | None = text(
        _PATH_LOOKS,
        _PATH,
        "PEM certificate that the device must prove, and no other; with or without ca_file.",
        None,
    )
    server_name: str | None = text(
        "a host name", r"^[A-Za-z0-9._:-]+$", "Name in the device's certificate; left out: the host of endpoint.", None
    )
    certificate_file: str | None = text(
        _PATH_LOOKS, _PATH, "Our PEM certificate; the role that it carries decides what the device lets us do.", None
    )
    private_key_file: str | None = text(_PATH_LOOKS, _PATH, "PEM private key of our certificate.", None)
    policy: Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] | None = about(
        "OPC UA only: security policy, always SignAndEncrypt; left out: Basic256Sha256.", None
    )
    username: str | None = text("a user name", r"^[^\s]+$", "OPC UA only: who we are; left out: anonymous.", None)
    password_file: str | None = text(
        _PATH_LOOKS, _PATH, "OPC UA only: file with the password of username in its first line.", None
    )


class DeviceModel(Strict):
    """One piece of field hardware; Modbus units behind one endpoint share one connection."""

    id: str = name("Name of the device.")
    protocol: Literal["modbus", "opcua"] = about("Field protocol: Modbus (TCP, TLS or RTU) or OPC UA.")
    endpoint: str = text(
        "host:port, modbus+tls://host, rtu+tcp://host:port, rtu:///dev/ttyX or opc.tcp://host:port/path",
        r"^((opc\.tcp://|tcp://|rtu\+tcp://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(/[^\s]*)?"
        r"|modbus\+tls://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?|rtu:///[^\s]+)$",
        "Where it answers. Modbus: host:port (TCP), modbus+tls://host[:802] (Modbus/TCP Security), rtu+tcp://host:port "
        "(RTU frames through a serial gateway), rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1 (serial line). "
        "OPC UA: opc.tcp://host:port/path.",
    )
    unit_address: int | None = number("address", 0, 255, "Modbus unit id; left out: 1. Not for OPC UA.", None)
    profile: str = text("a profile name", r"^[A-Za-z0-9_]+$", "Device table in drivers/profiles/.", longest=60)
    feeds: dict[str, str] = about(
        "Meter values to use: profile point to controller point, for example {p_w: branch.T1.p_w, u_v: bus.BB.u_v}. "
        "A '-' before the target turns the sign, for a meter that counts the other way or is wired backwards.",
        {},
    )
    unit: str | None = name(
        "Unit that it commands. Feeds unit.<id>.p_w, q_var, p_avail_w, soc_frac, state, vehicles, wanted_wh, p_set_w,"
        " q_set_var by itself.",
        None,
    )
    covered_by: str = text(
        "a line of text",
        LINE_OR_NOTHING,
        "What keeps the unit inside its fail-safe power when it falls silent, for example its own export limiter; "
        "needed where the device fails open or holds its last set point (docs/devices.md).",
        "",
        longest=120,
    )
    poll_s: float = number("seconds", 0.05, 60, "Time between two polls.", 1.0)
    stale_s: float = number("seconds", 0.1, 300, "Age beyond which a value no longer counts.", 3.0)
    timeout_s: float = number("seconds", 0.05, 10, "Longest wait for one answer.", 0.8)
    delivery: Literal["auto", "read", "subscription"] | None = about(
        "OPC UA only: values are asked for at every poll (read), reported by the server (subscription), or by what "
        "costs less (auto); left out: auto (docs/opcua.md).",
        None,
    )
    serial_number: str | None = text(
        "a serial number",
        r"^[!-~]([ -~]*[!-~])?$",
        "The serial number that the device must show, or nothing of it is believed and nothing written (gridedge scan "
        "tells it); left out: the first that it shows after the start. Two units of one model that have changed "
        "addresses are not told apart by anything else. For SunSpec, and where docs/devices.md names its register.",
        None,
        longest=32,
    )
    options: OptionsModel = about("How the connection is secured.", OptionsModel())
