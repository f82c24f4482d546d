"""The page itself: self-contained HTML, headings and tables first, so that it reads aloud and prints well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from controller.balancing.national.sales import Sale
from controller.domain.site import Site
from controller.report.drawing import figures
from controller.report.findings import Findings
from controller.report.past import Past
from controller.report.standing import standing
from controller.report.words import (
    clock,
    day_and_clock,
    energy,
    euro,
    given_up,
    power,
    reactive,
    sale_words,
    settled_words,
    verdict,
)

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#111;background:#fff;max-width:54rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:1.8rem 0 .4rem;border-bottom:2px solid #111}
.verdict{font-size:1.2rem;font-weight:600;border-left:6px solid #00695c;padding:.4rem .8rem;background:#f3f7f6}
.verdict.bad{border-color:#b3261e;background:#fbf1f0}table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:#444;padding:.2rem 0}th,td{padding:.25rem .5rem;border-bottom:1px solid #bbb;
text-align:right;vertical-align:top}th:first-child,td:first-child,.text{text-align:left}
thead th{border-bottom:2px solid #111}
figure{margin:1rem 0;break-inside:avoid}figure>svg{width:100%;height:auto}
svg text{font:11px system-ui,sans-serif;fill:#222}
figcaption{font-size:.85rem;color:#333}.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;
margin:.2rem 0;font-size:.85rem}code{font-size:.78rem;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}}
"""


def page(site: Site, title: str, past: Past, found: Findings) -> str:
    """The whole document."""
    good, sentence = verdict(found, past)
    span = f"{day_and_clock(past.start_utc_s[0], site)} to {day_and_clock(past.start_utc_s[-1] + past.period_s, site)}"
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}: report</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>',
        "<body><main>",
        f"<h1>{escape(title)}</h1><p>{escape(span)} ({escape(site.timezone)})</p>",
        f'<p class="verdict{"" if good else " bad"}">{escape(sentence)}</p>',
        _bound(site, found),
        *figures(site, past),
        _used(found),
        _curtailed(found),
        _supported(site, found),
        *(_sold(site, sale) for sale in found.sales),
        _compared(found),
        _proof(past),
        _orders(site, found),
    ]
    return "\n".join([*(part for part in parts if part), "</main></body></html>\n"])


def _bound(site: Site, found: Findings) -> str:
    rows = [
        (
            b.limit,
            clock(b.from_utc_s, site),
            clock(b.to_utc_s, site),
            f"{100.0 * b.highest_frac:.1f} %",
            _over(b.over_s),
        )
        for b in found.bindings
    ]
    head = ("limit", "from", "to", "most used", "minutes in which it was exceeded")
    return _section("What bound", "Limits used to 97 % or more", head, rows, "No limit came near.")


def _over(seconds: float) -> str:
    return f"{seconds / 60.0:.0f}" if seconds > 0.0 else "none"


def _used(found: Findings) -> str:
    rows = [
        (u.unit, u.kind.replace("_", " "), energy(u.taken_wh), energy(u.given_wh), power(u.most_w), euro(u.cost_eur))
        for u in found.uses
    ]
    head = ("unit", "kind", "took", "gave", "took at most", "wear at its price")
    return _section("What was used", "Batteries and flexible demand", head, rows, "Nothing here is flexible.")


def _curtailed(found: Findings) -> str:
    rows = [
        (g.unit, g.cause, f"{g.principle}, turn {g.rank}", given_up(g), power(g.most_w),
         f"{g.lasted_s / 60.0:.0f} min", euro(g.cost_eur))
        for g in found.given_up
    ]  # fmt: skip
    head = ("unit", "because of", "principle and turn", "energy", "at most", "for", "at its price")
    return _section(
        "Who gave up what, and why", "From the record of curtailments", head, rows, "Nobody gave up anything."
    )


def _supported(site: Site, found: Findings) -> str:
    """Left out when nobody asked for any."""
    if not found.support:
        return ""
    rows = [
        (f"{day_and_clock(s.start_utc_s, site)}, {s.lasts_s / 60.0:.0f} min",
         reactive(s.before_var), reactive(s.asked_var), reactive(s.q_var),
         f"{reactive(s.delivered_var)} of {reactive(s.ordered_var)}", f"{100.0 * s.share_frac:.0f} %")
        for s in found.support
    ]  # fmt: skip
    head = ("from, and for how long", "before", "asked", "measured mean", "change delivered", "share")
    caption = (
        "Reactive power at the interface by the quarter of an hour, while it was asked for; positive is drawn from the "
        "network above"
    )
    return _section("Voltage support", caption, head, rows, "")


def _sold(site: Site, sale: Sale) -> str:
    """One bid at the national market and what was activated of it."""
    rows = [
        (f"{day_and_clock(one.from_utc_s, site)} to {clock(one.until_utc_s, site)}", one.direction,
         energy(one.asked_wh), energy(one.taken_wh), *settled_words(one), one.reason)
        for one in sale.activations
    ]  # fmt: skip
    head = ("activated from, to", "direction", "asked", "taken", "delivered", "missing", "earned", "note")
    words = sale_words(sale, site)
    return _section("National market", words, head, rows, f"{words} Nothing of it was activated.")


def _compared(found: Findings) -> str:
    what_if = found.what_if
    if what_if is None:
        return "<h2>Compared with LIFO</h2><p>No comparison: the site has no export limit.</p>"
    rows = [(unit, energy(wh)) for unit, wh in what_if.by_unit_wh]
    rows.append(("together", f"{energy(what_if.energy_wh)}, {euro(what_if.cost_eur)}"))
    rows.append(("together, had the flexible demand not been there", energy(what_if.no_demand_wh)))
    rows.append(("this controller", f"{energy(found.curtailed_wh)}, {euro(found.curtailed_eur)}"))
    method = (
        f"Replay of the recorded flows: batteries at rest, other demand as recorded; above {power(what_if.limit_w)} of "
        "export the last in is trimmed first, to 95 % of the limit, for 15 minutes after the last excess. Trips, "
        "delays and ramps of a real scheme are left out: the figure is on the low side."
    )
    table = _section("Compared with LIFO", "Curtailed energy", ("generator", "LIFO threshold scheme"), rows, "")
    return f"{table}<p>{escape(method)}</p>"


def _proof(past: Past) -> str:
    proof = past.proof
    lost = f" Not recorded: {past.lost_s / 60.0:.0f} min of this span." if past.lost_s > 0.0 else ""
    if proof is None:
        return f"<h2>Proof</h2><p>None: this page was made of a recording, not of a station's record.{lost}</p>"
    state = "unbroken" if not proof.fault else f"broken: {proof.fault}"
    return (
        f"<h2>Proof</h2><p>The record of curtailments has {proof.entries} entries, {len(past.ledger)} of them in this "
        f"span, and is {escape(state)}.{lost} Its last fingerprint is <code>{escape(proof.head)}</code>; "
        "<code>gridedge ledger</code> exports it and <code>gridedge verify --head</code> checks it.</p>"
    )


def _orders(site: Site, found: Findings) -> str:
    rows = [
        (day_and_clock(order.from_utc_s, site), clock(order.to_utc_s, site), order.words)
        for order in standing(found.orders)
    ]
    headings = ("from", "until", "what")
    return _section(
        "Orders and instructions", "Accepted by the controller", headings, rows, "None.", text_last=True
    )  # fmt: skip


def _section(
    title: str, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], empty: str, text_last: bool = False
) -> str:
    filled = list(rows)
    if not filled:
        return f"<h2>{escape(title)}</h2><p>{escape(empty)}</p>"
    mark = ' class="text"' if text_last else ""
    heads = "".join(f'<th scope="col"{mark}>{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td{mark}>{escape(c)}</td>" for c in row[1:]) + "</tr>"
        for row in filled
    )
    table = f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f"<h2>{escape(title)}</h2>{table}"
