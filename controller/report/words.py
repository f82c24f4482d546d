"""Quantities, times and the verdict as the page says them, in the site's local time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from controller.balancing.national.sales import Activated, Sale
from controller.domain.site import Site
from controller.report.findings import Findings, GivenUp
from controller.report.past import Past

NOTHING_FRAC = 0.01
"""A share of the generation below this is not called curtailed: class 1 meters do not tell it from nothing, and of a
plant that does not say what it could give, the record holds what the controller believes it could have given."""


def power(w: float) -> str:
    """``1.40 MW``, ``320 kW``."""
    return f"{w / 1e6:.2f} MW" if abs(w) >= 1e6 else f"{w / 1e3:.0f} kW"


def reactive(q_var: float) -> str:
    """``1.40 Mvar``, ``-320 kvar``."""
    return f"{q_var / 1e6:.2f} Mvar" if abs(q_var) >= 1e6 else f"{q_var / 1e3 + 0.0:.0f} kvar"


def energy(wh: float) -> str:
    """``5.61 MWh``, ``320 kWh``, ``0.4 kWh``."""
    if abs(wh) >= 1e6:
        return f"{wh / 1e6:.2f} MWh"
    return f"{wh / 1e3:.0f} kWh" if abs(wh) >= 1e4 else f"{wh / 1e3:.1f} kWh"


def euro(eur: float) -> str:
    """``12.40 EUR``."""
    return f"{eur:.2f} EUR"


def clock(utc_s: float, site: Site) -> str:
    """``02:10`` at the site; ``01:30 BST`` where the clocks are set back and that comes twice."""
    return _said(utc_s, site, "%H:%M")


def day_and_clock(utc_s: float, site: Site) -> str:
    """``2026-04-10 02:10`` at the site."""
    return _said(utc_s, site, "%Y-%m-%d %H:%M")


def given_up(what: GivenUp) -> str:
    """``1.20 MWh``, and whether that is an estimate: the unit did not say what it could give."""
    return f"{energy(what.energy_wh)} by estimate" if what.estimated else energy(what.energy_wh)


def sale_words(sale: Sale, site: Site) -> str:
    """A bid at the national market, its answer, and what it earned."""
    bid = sale.bid
    offered = f"{power(bid.up_w)} up and {power(bid.down_w)} down at {euro(bid.price_eur_per_mwh)}/MWh"
    window = f"{day_and_clock(bid.from_utc_s, site)} to {clock(bid.until_utc_s, site)}"
    why = f" ({sale.reason})" if sale.reason else ""
    earned = f"; earned {euro(sale.earned_eur)}" if sale.activations else ""
    return f"{window}: {offered} offered, {sale.fate}{why}{earned}."


def settled_words(one: Activated) -> tuple[str, str, str]:
    """What was delivered, what was missing, and what that earned."""
    if one.delivered_wh is None or one.deficiency_wh is None or one.earned_eur is None:
        word = "not settled yet" if one.taken_wh else "–"
        return word, word, word
    return energy(one.delivered_wh), energy(one.deficiency_wh), euro(one.earned_eur)


def verdict(found: Findings, past: Past) -> tuple[bool, str]:
    """Whether it was a good night, and one sentence about it; what was not recorded is never called good."""
    over_s = sum(b.over_s for b in found.bindings)
    kept = "Every limit was kept" if over_s == 0.0 else f"A limit was exceeded in {_minutes(over_s)}"
    nothing = found.curtailed_wh <= NOTHING_FRAC * max(found.generated_wh, 1.0)
    amount = f"{energy(found.curtailed_wh)} of {energy(found.generated_wh + found.curtailed_wh)}"
    if found.estimated_wh > 0.0:
        amount += f" ({energy(found.estimated_wh)} by estimate)"
    held = (
        f"no generation was curtailed beyond the accuracy of the meters (on record {amount})"
        if nothing
        else f"{amount} of generation was curtailed"
    )
    saved = ""
    if found.what_if is not None:
        saved = f"; a LIFO threshold scheme would have curtailed {energy(found.what_if.energy_wh)}"
        if found.what_if.no_demand_wh > found.what_if.energy_wh:
            saved += f", and {energy(found.what_if.no_demand_wh)} without the flexible demand"
    broken = " The record of curtailments is broken." if past.proof is not None and past.proof.fault else ""
    gaps = f" Not on record: {_minutes(past.lost_s)}." if past.lost_s > 0.0 else ""
    return over_s == 0.0 and nothing and not broken and not gaps, f"{kept}; {held}{saved}.{broken}{gaps}"


def _said(utc_s: float, site: Site, form: str) -> str:
    local = datetime.fromtimestamp(float(utc_s), UTC).astimezone(ZoneInfo(site.timezone))
    comes_twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    return local.strftime(f"{form} %Z" if comes_twice else form)


def _minutes(seconds: float) -> str:
    count = round(seconds / 60.0)
    return "1 minute" if count == 1 else f"{count} minutes"
