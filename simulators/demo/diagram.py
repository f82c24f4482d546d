"""One-line diagram of a radial substation: source, transformers, busbar, feeders, and what flows in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from controller.domain.site import Site
from controller.domain.topology import Line, Topology
from controller.domain.unit import Unit
from simulators.demo.style import FRAME, LABEL, PLAIN, UNIT_COLOURS, VALUE, loading_colour
from simulators.demo.words import doing, interface, percent, power, voltage

_COLUMN_MIN = 18
_COLUMN_MAX = 24
_LEFT = 2


@dataclass(frozen=True, slots=True)
class Flows:
    """What the drawing shows: W from source side to load side, shares of limits (by element), V, units' W."""

    branch_p_w: Mapping[str, float]
    branch_frac: Mapping[str, float]
    bus_u_v: Mapping[str, float]
    unit_p_w: Mapping[str, float]
    interface_p_w: float


class Canvas:
    """Characters with styles, written anywhere."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._rows: dict[int, list[tuple[str, str]]] = {}

    def put(self, row: int, column: int, text: str, style: str = PLAIN) -> None:
        """Write to the right from there; what leaves the canvas is cut."""
        cells = self._rows.setdefault(row, [(" ", "")] * self.width)
        for k, character in enumerate(text):
            if 0 <= column + k < self.width:
                cells[column + k] = (character, style)

    def text(self) -> Text:
        """All rows, joined to runs of one style."""
        lines = []
        for row in range(max(self._rows, default=-1) + 1):
            line = Text()
            for character, style in self._rows.get(row, []):
                line.append(character, style)
            line.rstrip()
            lines.append(line)
        return Text("\n").join(lines)


@dataclass(frozen=True, slots=True)
class _Column:
    """A feeder: its lines from the busbar outwards; none for what hangs on the busbar itself."""

    lines: tuple[Line, ...]
    bus: str


def one_line(site: Site, flows: Flows, width: int) -> Text | None:
    """The drawing; None for a network of another form, or too many feeders for the width."""
    columns = _columns(site)
    if columns is None:
        return None
    room = (width - _LEFT) // max(len(columns), 1)
    if room < _COLUMN_MIN:
        return None
    room = min(room, _COLUMN_MAX)
    canvas = Canvas(width)
    places = [_LEFT + 2 + k * room for k in range(len(columns))]
    _source(canvas, site, flows, places)
    for column, place in zip(columns, places, strict=True):
        _feeder(canvas, site.units, flows, column, place, room)
    return canvas.text()


def _columns(site: Site) -> list[_Column] | None:
    """Feeders from left to right; None when transformers do not lead from the source to one busbar."""
    topology = site.topology
    sides = {(item.hv_bus, item.lv_bus) for item in topology.transformers}
    if len(sides) != 1:
        return None
    ((source, busbar),) = sides
    outgoing = [line for line in topology.lines if line.from_bus == busbar]
    feeders = [_Column(_run(topology, line), line.to_bus) for line in outgoing]
    drawn = sum(len(column.lines) for column in feeders)
    if source != topology.source.bus or drawn != len(topology.lines):
        return None
    at_busbar = any(unit.bus == busbar for unit in site.units)
    return [*feeders, _Column((), busbar)] if at_busbar else feeders


def _run(topology: Topology, first: Line) -> tuple[Line, ...]:
    """The lines of one feeder, one behind the other."""
    run = [first]
    while len(behind := [line for line in topology.lines if line.from_bus == run[-1].to_bus]) == 1:
        run.append(behind[0])
    return tuple(run)


def _source(canvas: Canvas, site: Site, flows: Flows, places: Sequence[int]) -> None:
    """Rows 0 to 4: the upstream busbar, the transformers, the busbar."""
    topology = site.topology
    first = topology.transformers[0]
    gap = 22
    stems = [max(places[0] + 8, _LEFT) + gap * k for k in range(len(topology.transformers))]
    right = stems[-1] + gap - 6
    canvas.put(0, _LEFT, "━" * (right - _LEFT), VALUE)
    label = f" {first.hv_bus} {voltage(flows.bus_u_v.get(first.hv_bus, math.nan))} "
    canvas.put(0, right + 1, label, VALUE)
    canvas.put(0, right + 1 + len(label) + 1, interface(flows.interface_p_w), PLAIN)
    for stem, item in zip(stems, topology.transformers, strict=True):
        canvas.put(0, stem, "┯", VALUE)
        canvas.put(1, stem, "◎", PLAIN)
        canvas.put(2, stem, "│", FRAME)
        _flow(canvas, 1, stem + 2, item.id, flows)
    busbar_right = max(places[-1] + 8, stems[-1] + 8)
    canvas.put(3, _LEFT, "━" * (busbar_right - _LEFT), VALUE)
    for stem in stems:
        canvas.put(3, stem, "┷", VALUE)
    canvas.put(3, busbar_right + 1, f"{first.lv_bus} {voltage(flows.bus_u_v.get(first.lv_bus, math.nan))}", VALUE)


def _feeder(canvas: Canvas, units: Sequence[Unit], flows: Flows, column: _Column, place: int, room: int) -> None:
    """Everything that hangs under the busbar at one place."""
    canvas.put(3, place, "┯", VALUE)
    row = 4
    if not column.lines:
        for unit in (unit for unit in units if unit.bus == column.bus):
            row = _unit(canvas, row, place, unit, flows, room)
    for line in column.lines:
        canvas.put(row, place, "│", FRAME)
        _flow(canvas, row, place + 2, line.id, flows)
        bus = f"{line.to_bus} {voltage(flows.bus_u_v.get(line.to_bus, math.nan))}"
        canvas.put(row + 1, place, "├", FRAME)
        canvas.put(row + 1, place + 2, bus[: room - 3], LABEL)
        row += 2
        for unit in (unit for unit in units if unit.bus == line.to_bus):
            row = _unit(canvas, row, place, unit, flows, room)
    canvas.put(row - 1, place, "└", FRAME)


def _unit(canvas: Canvas, row: int, place: int, unit: Unit, flows: Flows, room: int) -> int:
    """A unit on one row; the next free row."""
    p_w = flows.unit_p_w.get(unit.id, math.nan)
    verb, amount = doing(unit.kind, p_w)
    arrow = {"resting": "· ", "unknown": "? "}.get(verb, "▲" if p_w < 0.0 else "▼")
    colour = UNIT_COLOURS[unit.kind.value]
    canvas.put(row, place, "├", FRAME)
    canvas.put(row, place + 2, f"{unit.id} {arrow}{amount or verb}"[: room - 3], colour)
    return row + 1


def _flow(canvas: Canvas, row: int, place: int, branch: str, flows: Flows) -> None:
    """Name, direction, power and loading of a branch: ``T1 ▲6.1 MW 97%``; ▲ is towards the source."""
    p_w = flows.branch_p_w.get(branch, math.nan)
    frac = flows.branch_frac.get(branch, math.nan)
    canvas.put(row, place, branch, PLAIN)
    if math.isfinite(p_w):
        text = f"{'▼' if p_w >= 0.0 else '▲'}{power(p_w)}"
        share = percent(frac).replace(" ", "")
        canvas.put(row, place + len(branch) + 1, text, LABEL)
        canvas.put(row, place + len(branch) + len(text) + 2, share, loading_colour(frac))
