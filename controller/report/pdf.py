"""The same page as a PDF: the verdict and the tables as text, then the figures (matplotlib, extra ``report``)."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from controller.balancing.national.sales import Sale
from controller.domain.site import Site
from controller.report.drawing import courses
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

A4_IN = (8.27, 11.69)
LINES_MAX = 62
COLUMNS = 96


def write_pdf(path: Path, title: str, site: Site, past: Past, found: Findings) -> None:
    """Write the document; raises OSError when the file cannot be written."""
    with (
        mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}),
        PdfPages(path) as pages,
    ):
        lines = _text(title, site, past, found)
        for first in range(0, len(lines), LINES_MAX):
            figure = Figure(figsize=A4_IN)
            body = "\n".join(lines[first : first + LINES_MAX])
            figure.text(0.08, 0.95, body, va="top", family="monospace", fontsize=8)
            pages.savefig(figure)
        pages.savefig(_figures(site, past))


def _figures(site: Site, past: Past) -> Figure:
    drawn = courses(site, past)
    figure = Figure(figsize=A4_IN, layout="constrained")
    hours = (past.start_utc_s - past.start_utc_s[0]) / 3600.0
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)
    for axes, (title, unit, lines) in zip(panels[:, 0], drawn, strict=True):
        for line, style in zip(lines, ("-", "--", ":", "-.", "-", "--"), strict=False):
            axes.plot(hours, line.y, style, linewidth=1.1, label=line.name)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_ylabel(unit)
        axes.legend(loc="upper right", fontsize=7)
    panels[-1, 0].set_xlabel(f"hours since {day_and_clock(past.start_utc_s[0], site)}")
    return figure


def _text(title: str, site: Site, past: Past, found: Findings) -> list[str]:
    span = f"{day_and_clock(past.start_utc_s[0], site)} to {day_and_clock(past.start_utc_s[-1] + past.period_s, site)}"
    out = [title, span, "", *textwrap.wrap(verdict(found, past)[1], COLUMNS), "", "WHAT BOUND"]
    out += [
        f"  {b.limit}  {clock(b.from_utc_s, site)} to {clock(b.to_utc_s, site)}, up to {100.0 * b.highest_frac:.1f} %"
        for b in found.bindings
    ] or ["  nothing"]
    out += ["", "WHAT WAS USED"]
    out += [f"  {u.unit}  took {energy(u.taken_wh)}, gave {energy(u.given_wh)}, {euro(u.cost_eur)}" for u in found.uses]
    out += ["", "WHO GAVE UP WHAT, AND WHY"]
    out += [
        f"  {g.unit}  {given_up(g)}, at most {power(g.most_w)}, for {g.cause}, {g.principle}, turn {g.rank}"
        for g in found.given_up
    ] or ["  nobody"]
    if found.support:
        out += ["", "VOLTAGE SUPPORT (positive is drawn from the network above)"]
    out += [
        f"  {day_and_clock(s.start_utc_s, site)}  asked {reactive(s.asked_var)}, measured {reactive(s.q_var)}, "
        f"delivered {reactive(s.delivered_var)} of {reactive(s.ordered_var)}, {100.0 * s.share_frac:.0f} %"
        for s in found.support
    ]
    out += ["", "NATIONAL MARKET"] if found.sales else []
    out += [line for sale in found.sales for line in _sold(site, sale)]
    if found.what_if is not None:
        out += ["", "COMPARED WITH LIFO", f"  {energy(found.what_if.energy_wh)}, {euro(found.what_if.cost_eur)}"]
    out += ["", "PROOF", _proof(past)]
    out += ["", "ORDERS AND INSTRUCTIONS"]
    orders = [(day_and_clock(o.from_utc_s, site), clock(o.to_utc_s, site), o.words) for o in standing(found.orders)]
    out += [f"  {begins} to {ends}  {words}"[:COLUMNS] for begins, ends, words in orders] or ["  none"]
    return out


def _sold(site: Site, sale: Sale) -> list[str]:
    words = textwrap.wrap(sale_words(sale, site), COLUMNS - 2, initial_indent="  ", subsequent_indent="  ")
    for one in sale.activations:
        delivered, missing, earned = settled_words(one)
        words.append(
            f"    {day_and_clock(one.from_utc_s, site)} to {clock(one.until_utc_s, site)}  {one.direction}, "
            f"{energy(one.taken_wh)} of {energy(one.asked_wh)} taken"
        )
        words.append(f"      delivered {delivered}, missing {missing}, earned {earned}"[:COLUMNS])
    return words


def _proof(past: Past) -> str:
    if past.proof is None:
        return "  none: made of a recording"
    return f"  {past.proof.entries} entries {past.proof.fault or 'unbroken'}; head {past.proof.head}"
