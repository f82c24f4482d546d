"""The national balancing market of the site file as a strict model."""

from __future__ import annotations

from controller.config.fields import Name, Strict, names, number, text
from controller.config.schema_platform import FILE_PATH

_CLOCK = ("HH:MM", r"^([01][0-9]|2[0-3]):[0-5][0-9]$")


class NationalModel(Strict):
    """A national balancing market; `gridedge station` offers there, once a day, what the site has left.

    The bid is one window, up and down, within the feasible area at the boundary of the present state. It is posted to
    `url` as JSON, again until it is answered or the gate closes, and never twice. What the market activates of an
    accepted bid is passed on to `gridedge run` over the platform socket, as leased set points below local services.
    """

    url: str = text("https://host/path", r"^https://[^\s/]+(/[^\s]*)?$", "Where bids are posted.")
    ca_file: str | None = text(*FILE_PATH, "Authorities that may vouch for it (PEM); left out: the system's.", None)
    credentials: str | None = text(*FILE_PATH, "File with name and password (HTTP Basic), a line each.", None)
    at: str = text(*_CLOCK, "When the day's bid is made, site time.")
    gate: str = text(*_CLOCK, "When the gate closes: nothing is said later.")
    start: str = text(*_CLOCK, "When the window begins.")
    end: str = text(*_CLOCK, "When it ends; not later than start: on the next day.")
    units: tuple[Name, ...] = names("Units that are for sale.")
    margin_eur_per_mwh: float = number(
        "EUR/MWh", 0, 10_000, "What is asked for above the dearest unit's price_eur_per_mwh.", 0.0
    )
    poll_s: float = number("seconds", 1, 3600, "Period of asking what is activated of an accepted bid.", 30.0)
    penalty_factor: float = number(
        "times", 0, 100, "What a MWh that was activated and not delivered costs, times what a delivered one earns.", 1.0
    )
    writes_per_day: int = number("changes", 1, 86_400, "How often set points may change because of it.", 288)
