"""The flexibility market of the site file as strict models."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import Name, Strict, about, number, series, text
from controller.config.schema_platform import FILE_PATH

_DOMAIN = ("a domain name", r"^([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$")
_KEY = ("base64, with or without cs1. before it", r"^(cs1\.)?[A-Za-z0-9+/]{43,86}={0,2}$")
_CLOCK = ("HH:MM in quarter hours", r"^([01][0-9]|2[0-3]):(00|15|30|45)$")
_CLOCK_END = ("HH:MM in quarter hours, up to 24:00", r"^(([01][0-9]|2[0-3]):(00|15|30|45)|24:00)$")
_EA1 = ("ea1.year-month.reversed domain:name", r"^ea1\.[0-9]{4}-[0-9]{2}\.[a-z0-9.-]{1,244}:[a-z0-9.:_-]{1,244}$")


class ParticipantModel(Strict):
    """One participant. Whoever is not in the list is turned away; who is, is asked when something is needed."""

    domain: str = text(*_DOMAIN, "Its SenderDomain.")
    role: Literal["AGR", "CRO"] = about("Aggregator, or common reference operator.", "AGR")
    endpoint: str = text(
        "https://host/path", r"^https?://[^\s/]+(/[^\s]*)?$", "Where its messages go; http on this machine only."
    )
    public_key: str = text(*_KEY, "Its public signing key, as agreed; compare it over another channel.")
    max_kw: float = number("kW", 0, 10_000_000, "Most that it may offer; more is taken for a mistake.", 0.0)
    units: tuple[Name, ...] = about("Units that it stands for: where its flexibility is.", ())
    delivery: Literal["controller", "as_needed", "participant"] = about(
        "Who moves its units when an order is due: this controller, by all of it or by as much as limits need, or the "
        "participant itself.",
        "controller",
    )
    meters: tuple[str, ...] = series("a list of EANs", 500, "Meters that it may send readings of.")
    barred: bool = about("Known, but refused whatever it says.", False)


class ContractModel(Strict):
    """Flexibility that a participant keeps ready by a bilateral contract; what a day does not need is released."""

    id: str = text("as agreed", r"^[^\s]{1,60}$", "ContractID.")
    participant: str = text(*_DOMAIN, "Who keeps it ready.")
    more_kw: float | None = number("kW", 0, 10_000_000, "Reserved: more consumption, or less generation.", None)
    less_kw: float | None = number("kW", 0, 10_000_000, "Reserved: less consumption, or more generation.", None)
    begin: str = text(*_CLOCK, "First quarter hour of the day that it is reserved in.")
    end: str = text(*_CLOCK_END, "When the reservation of the day ends.")
    days: Literal["all", "working", "weekend"] = about("Days that it is reserved on.", "all")
    release_by: str = text(*_CLOCK, "Until when, on the day before, what is not needed may be released.")


class MarketModel(Strict):
    """The local flexibility market (UFTP, Shapeshifter 3.1) in the role of the DSO; the station process trades there.

    With this block `gridedge station` forecasts from its history, asks for what the coming quarter hours will lack,
    orders the cheapest offers, and tells the control process the set points of the units that deliver.
    """

    domain: str = text(*_DOMAIN, "Our own SenderDomain.")
    congestion_point: str = text(*_EA1, "Entity address of the congestion point that this site is.")
    isp_min: Literal[15] = about("Length of a settlement period, minutes.", 15)
    timezone: str | None = text(
        "an IANA time zone", r"^[A-Za-z0-9_+/-]+$", "Whose days count; left out: site.timezone.", None
    )
    currency: str = text("three capital letters", r"^[A-Z]{3}$", "Currency of every price.", "EUR")
    listen: str = text(
        "host:port", r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$", "Where messages of participants come in."
    )
    signing_key: str = text(*FILE_PATH, "File with our signing key (base64, one line; `gridedge market-key`).")
    cert_file: str | None = text(*FILE_PATH, "Our TLS certificate (PEM), with key_file; needed beyond loopback.", None)
    key_file: str | None = text(*FILE_PATH, "Private key of cert_file (PEM).", None)
    ca_file: str | None = text(
        *FILE_PATH, "Authorities that may vouch for participants (PEM); left out: the system's.", None
    )
    participants: tuple[ParticipantModel, ...] = about("Who takes part.")
    contracts: tuple[ContractModel, ...] = about("Bilateral contracts.", ())
    connections: tuple[str, ...] = series(
        "a list of entity addresses", 5000, "Connections (ean.… or ea1.…) that reference operators are told of."
    )
    redispatch_by: Literal["AGR", "DSO"] = about("Who balances what is ordered, as the operators are told.", "AGR")
    by_portfolio: bool = about("Ask only those whom the reference operator lists at the congestion point.", False)
    price_max: float = number("of the currency", 0, 10_000_000, "Highest price of one offer; above: a mistake.", 1e6)
    shortfall_eur_per_mwh: float = number(
        "EUR/MWh", 0, 100_000, "What curtailing instead costs: nothing dearer is bought.", 200.0
    )
    penalty_factor: float = number(
        "times the price", 0, 100, "What a missing watt costs, a delivered one earns 1.", 1.5
    )
    plan_min: float = number("minutes", 0.05, 60, "Period of forecast and projection.", 5.0)
    horizon_h: float = number("hours", 1, 48, "How far ahead breaches are looked for.", 12.0)
    offer_min: float = number("minutes", 0.05, 720, "Time for offers; then the cheapest are ordered.", 15.0)
    lead_min: float = number(
        "minutes", 0.05, 720, "From the deadline of offers to the first period that is asked about.", 15.0
    )
    again_min: float = number("minutes", 0.05, 1440, "Shortest time between two requests.", 30.0)
    stale_s: float = number("seconds", 1, 3600, "Oldest message that is acted on.", 300.0)
    messages_per_h: int = number("messages", 1, 100_000, "What one participant may send.", 600)
    writes_per_day: int = number("changes", 1, 86_400, "How often set points may change because of orders.", 288)
