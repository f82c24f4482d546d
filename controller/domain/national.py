"""The national balancing market as the site file states it: where, what is for sale, and by when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tender:
    """One product, offered every day. Clock times are seconds after local midnight of that day.

    From ``at_s`` on the bid is made, by ``gate_s`` it has to be accepted; the window runs from ``start_s`` to
    ``end_s``, past midnight where that is not later. The price is the dearest of ``units`` plus a margin. The
    credentials file holds name and password, a line each.
    """

    url: str
    at_s: float
    gate_s: float
    start_s: float
    end_s: float
    units: tuple[str, ...]
    margin_eur_per_mwh: float = 0.0
    ca_file: str | None = None
    credentials_file: str | None = None
