"""The end of the day on the screen: were the limits kept, and what did it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulators.demo.style import GOOD, LABEL, OTHER, OVER, PLAIN, VALUE, loading_colour
from simulators.demo.summary_market import market_summary
from simulators.demo.words import CAUSE_WORDS, duration, energy, percent_fine

_CAUSES_MAX = 4
_GENERATES = ("pv", "wind", "generator")


def summary(report: Mapping[str, Any]) -> RenderableType:
    """Tables of limits and units with the verdict above them."""
    other = report["uncontrolled"]
    parts: list[RenderableType] = [_verdict(report), _limits(report, other), _units(report)]
    if report["market"] is not None:
        parts += market_summary(report["market"])
    if other:
        parts.append(_sentence(report, other))
    return Group(*parts)


def _verdict(report: Mapping[str, Any]) -> Text:
    over = [limit for limit in report["limits"] if limit["over_s"] > 0.0]
    span = f"{report['hours']:.2f} h at {report['title']}, seed {report['seed']}"
    line = Text(f"{span}: ", style=VALUE)
    if not report["completed"]:
        line.append("(ended early) ", style=LABEL)
    if not over:
        return line.append("every limit was kept", style=f"bold {GOOD}")
    total_s = sum(limit["over_s"] for limit in over)
    names = ", ".join(limit["id"] for limit in over)
    return line.append(f"over the limit for {duration(total_s)}: {names}", style=f"bold {OVER}")


def _limits(report: Mapping[str, Any], other: Mapping[str, Any] | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style=LABEL, pad_edge=False)
    for heading in ("limit", "highest", "time over"):
        table.add_column(heading, justify="left" if heading == "limit" else "right")
    if other:
        table.add_column("without control", justify="right", header_style=OTHER)
        table.add_column("time over", justify="right", header_style=OTHER)
    beside = {limit["id"]: limit for limit in other["limits"]} if other else {}
    for limit in report["limits"]:
        frac = limit["highest_frac"]
        cells = [Text(limit["id"]), Text(percent_fine(frac), style=loading_colour(frac)), _over(limit, OVER)]
        if other:
            twin = beside[limit["id"]]
            cells += [Text(percent_fine(twin["highest_frac"]), style=OTHER), _over(twin, OTHER)]
        table.add_row(*cells)
    return table


def _over(limit: Mapping[str, Any], style: str) -> Text:
    seconds = limit["over_s"]
    return Text(duration(seconds), style=f"bold {style}") if seconds > 0.0 else Text("–", style=LABEL)


def _units(report: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style=LABEL, pad_edge=False)
    for heading in ("unit", "energy", "held back", "because of"):
        table.add_column(heading, justify="right" if heading in ("energy", "held back") else "left")
    for unit in report["units"]:
        generates = unit["kind"] in _GENERATES
        held_back_wh = unit["curtailed_wh"] if generates else unit["flexed_wh"]
        verb = "generated" if generates else "took" if unit["energy_wh"] >= 0.0 else "gave"
        told = "moved" if unit["kind"] == "battery" else "curtailed" if generates else "flexed"
        longest = list(unit["causes"].items())[:_CAUSES_MAX]
        reasons = "\n".join(f"{CAUSE_WORDS.get(cause, cause)}, {duration(seconds)}" for cause, seconds in longest)
        table.add_row(
            unit["id"], f"{verb} {energy(unit['energy_wh'])}", f"{told} {energy(held_back_wh)}", reasons or "–",
            style=PLAIN,
        )  # fmt: skip
    return table


def _sentence(report: Mapping[str, Any], other: Mapping[str, Any]) -> Text:
    """What control was worth, in one line."""
    over = [limit for limit in other["limits"] if limit["over_s"] > 0.0]
    curtailed_wh = sum(unit["curtailed_wh"] for unit in report["units"])
    put_off_wh = sum(unit["flexed_wh"] for unit in report["units"] if unit["kind"] != "battery")
    if not over:
        return Text("Without control no limit would have been exceeded either.", style=LABEL)
    worst = max(over, key=lambda limit: limit["highest_frac"])
    longest = max(over, key=lambda limit: limit["over_s"])
    many = len(over) > 1
    other_id = f"{worst['id']} " if worst is not longest else ""
    return Text(
        f"Without control {len(over)} limit{'s' if many else ''} would have been exceeded: {longest['id']} for "
        f"{duration(longest['over_s'])} and {other_id}up to {percent_fine(worst['highest_frac'])}. "
        f"Keeping {'them' if many else 'it'} cost {energy(curtailed_wh)} of generation and "
        f"{energy(put_off_wh)} of consumption put off.",
        style=LABEL,
    )
