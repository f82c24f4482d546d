"""What one way of running a day is worth against another: energy not curtailed, and money, from two reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from simulators.demo.style import VALUE
from simulators.demo.words import energy


def worth(report: Mapping[str, Any], other: Mapping[str, Any]) -> Text:
    """One sentence; raises ValueError when the two are not the same day."""
    for key in ("site", "seed", "start", "hours"):
        if report[key] != other.get(key):
            raise ValueError(f"--against is about {key} {other.get(key)}; expected {report[key]}, the same day")
    saved_wh = curtailed_wh(other) - curtailed_wh(report)
    paid_eur = paid(report) - paid(other)
    price_eur = max(shortfall(report), shortfall(other))
    value_eur = saved_wh / 1e6 * price_eur
    verb = "more" if saved_wh >= 0.0 else "less"
    return Text(
        f"Against the other run: {energy(saved_wh)} {verb} generation kept ({energy(curtailed_wh(report))} instead of "
        f"{energy(curtailed_wh(other))} curtailed), worth {value_eur:.0f} EUR at the {price_eur:.0f} EUR/MWh that the "
        f"auctions count a curtailed MWh at, for {paid_eur:.0f} EUR of flexibility: {value_eur - paid_eur:+.0f} EUR.",
        style=VALUE,
    )


def curtailed_wh(report: Mapping[str, Any]) -> float:
    """Energy that generators could have given and did not, by the plant's own count."""
    return float(sum(unit["curtailed_wh"] for unit in report["units"]))


def paid(report: Mapping[str, Any]) -> float:
    """What was paid for flexibility, EUR."""
    return 0.0 if report.get("market") is None else float(report["market"]["paid_eur"])


def shortfall(report: Mapping[str, Any]) -> float:
    """What the auctions of the day count a MWh at that must be curtailed, EUR."""
    return 0.0 if report.get("market") is None else float(report["market"]["shortfall_eur_per_mwh"])
