"""The balancing platform of the site file as strict models."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import LINE, Name, Strict, about, name, names, number, text
from controller.domain.platform import REACTIVE_PAYLOAD

FILE_PATH = (r"an absolute path", r"^/[^\n\x00]*$")


class ContractModel(Strict):
    """What holds while nothing of the platform is in force; left out: the limits of the site alone."""

    export_kw: float | None = number("kW", 0, 10_000_000, "Most export; at most limits.export_kw.", None)
    import_kw: float | None = number("kW", 0, 10_000_000, "Most import; at most limits.import_kw.", None)
    rest: tuple[Name, ...] | None = names(
        "Batteries of others: at 0 kW unless the platform has something of them.", None
    )


class IssuerModel(Strict):
    """One desk behind the platform, and the limits of its authority. What no entry names is refused."""

    id: str = name("Short name, used in records.")
    program: str = text("a line of text", LINE, "Name of its OpenADR program.", longest=128)
    service: Literal["flexibility", "tso", "platform"] = about(
        "Layer of its commands: contracted flexibility (4), service to the transmission operator (5), optimisation (6)."
    )
    subjects: tuple[Name, ...] = names(
        "Units that it may command; export and import stand for the connection point, interface for its reactive power."
    )
    max_kw: float = number("kW", 0, 10_000_000, "Largest set point of a unit that it may ask for.", 10_000_000.0)
    max_kvar: float = number("kvar", 0, 10_000_000, "Most reactive power that it may ask for.", 10_000_000.0)
    lasts_h_max: float = number("hours", 0.01, 168, "Longest time for which one command holds.", 24.0)
    ahead_h_max: float = number("hours", 0, 168, "How far ahead a command may begin.", 48.0)
    commands_per_h: int = number("commands", 1, 3600, "How often it may speak: new and changed events.", 60)
    writes_per_day: int = number("changes", 1, 86_400, "How often values may change because of it.", 288)


class PlatformModel(Strict):
    """The balancing platform. The station process talks to it; the control process keeps the contract without it."""

    kind: Literal["none", "openadr3", "uftp"] = about("Protocol; uftp is checked, but not used yet.", "none")
    url: str | None = text(
        "https://host/path", r"^https://[^\s/]+(/[^\s]*)?$", "Where the platform answers (its OpenADR base path).", None
    )
    ven_name: str | None = text("a line of text", LINE, "Name of this site there; left out: site.id.", None, 128)
    credentials: str | None = text(*FILE_PATH, "File with client id and secret, a line each.", None)
    ca_file: str | None = text(*FILE_PATH, "Authorities that may vouch for it (PEM); left out: the system's.", None)
    cert_file: str | None = text(*FILE_PATH, "Our certificate (PEM), with key_file, where it asks for one.", None)
    key_file: str | None = text(*FILE_PATH, "Private key of cert_file (PEM).", None)
    poll_s: float = number("seconds", 1, 3600, "Period of asking for events.", 30.0)
    notifications: Literal["none", "mqtt"] = about(
        "mqtt: the platform's notifications make the next poll come at once; asking every poll_s goes on. Needs the "
        "extra mqtt.",
        "none",
    )
    report_s: float = number("seconds", 5, 3600, "Period of reports.", 300.0)
    reactive_payload: str = text(
        "a name in capitals",
        r"^[A-Z][A-Z0-9_]*$",
        "OpenADR payload type that asks for reactive power (KVAR); the standard has none.",
        REACTIVE_PAYLOAD,
        64,
    )
    reactive_positive: Literal["absorbs", "injects"] = about(
        "What a positive value of it means: the site draws reactive power from the network, or gives it.", "absorbs"
    )
    contract: ContractModel | None = about("Default limits.", None)
    issuers: tuple[IssuerModel, ...] = about("Who may ask for what.", ())
