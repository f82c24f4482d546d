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
    kept = f"{energy(saved_wh)} {'more' if saved_wh >= 0.0 else 'less'}" if round(saved_wh / 1e3) else "as much"
    return Text(
        f"Against the other run: {kept} generation kept ({energy(curtailed_wh(report))} instead of "
        f"{energy(curtailed_wh(other))} curtailed), worth {round(value_eur)} EUR at the {price_eur:.0f} EUR/MWh that a "
        f"curtailed MWh counts where flexibility is bought, for {round(paid_eur)} EUR of flexibility: "
        f"{round(value_eur - paid_eur):+d} EUR.",
        style=VALUE,
    )


def curtailed_wh(report: Mapping[str, Any]) -> float:
    """Energy that generators could have given and did not, by the plant's own count."""
    return float(sum(unit["curtailed_wh"] for unit in report["units"]))


def paid(report: Mapping[str, Any]) -> float:
    """What was paid for flexibility, EUR."""
    return 0.0 if report.get("market") is None else float(report["market"]["paid_eur"])


def shortfall(report: Mapping[str, Any]) -> float:
    """What a MWh counts that must be curtailed, when flexibility is bought against it, EUR."""
    return 0.0 if report.get("market") is None else float(report["market"]["shortfall_eur_per_mwh"])
