"""Line charts as inline SVG: readable on paper and without colour, named for screen readers, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH, HEIGHT = 760, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 34
COLOURS = ("#0b3d91", "#b34700", "#00695c", "#6a1b9a", "#444444", "#8d6e00")
DASHES = ("", "7 3", "2 3", "10 3 2 3", "1 2", "5 5")
POINTS_MAX = 600


@dataclass(frozen=True, slots=True)
class Line:
    """One course; NaN leaves a gap."""

    name: str
    y: Array


def chart(title: str, unit: str, hours: Array, lines: Sequence[Line], labels: Sequence[tuple[float, str]]) -> str:
    """A figure with ``hours`` along its foot, ``labels`` (hour, text) below it, and a legend that needs no colour."""
    lowest, highest = _range(lines)
    scale = _Scale(float(hours[0]), float(hours[-1]), lowest, highest)
    parts = [
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_axes(scale, unit, labels),
    ]
    step = max(len(hours) // POINTS_MAX, 1)
    for k, line in enumerate(lines):
        look = f'fill="none" stroke="{COLOURS[k % 6]}" stroke-width="1.6" stroke-dasharray="{DASHES[k % 6]}"'
        parts += [f'<polyline {look} points="{run}"/>' for run in scale.runs(hours[::step], line.y[::step])]
    return "".join([*parts, "</svg>", _legend(lines), f"<figcaption>{escape(title)}</figcaption></figure>"])


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places on the paper."""

    first: float
    last: float
    low: float
    high: float

    def x(self, hour: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (hour - self.first) / max(self.last - self.first, 1e-9)

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    def runs(self, hours: Array, values: Array) -> list[str]:
        """Point lists of the stretches without a gap."""
        out: list[list[str]] = [[]]
        for hour, value in zip(hours.tolist(), values.tolist(), strict=True):
            if math.isfinite(value):
                out[-1].append(f"{self.x(hour):.1f},{self.y(value):.1f}")
            elif out[-1]:
                out.append([])
        return [" ".join(run) for run in out if run]


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    """Zero included, a little air above."""
    values = np.concatenate([line.y for line in lines])
    values = values[np.isfinite(values)]
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return (low * 1.05, high * 1.05) if high > low else (0.0, 1.0)


def _axes(scale: _Scale, unit: str, labels: Sequence[tuple[float, str]]) -> list[str]:
    step = _tick(scale.high - scale.low)
    ticks = [k * step for k in range(math.ceil(scale.low / step), math.floor(scale.high / step) + 1)]
    out = []
    for value in ticks:
        y = scale.y(value)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    out.append(f'<text x="4" y="{TOP + 8}">{escape(unit)}</text>')
    for hour, text in labels:
        out.append(f'<text x="{scale.x(hour):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(text)}</text>')
    return out


def _tick(span: float) -> float:
    """A round distance that gives four to eight lines."""
    rough = span / 5.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li><svg width="34" height="8" aria-hidden="true"><line x1="0" x2="34" y1="4" y2="4"'
        f' stroke="{COLOURS[k % 6]}" stroke-width="2" stroke-dasharray="{DASHES[k % 6]}"/></svg>'
        f" {escape(line.name)}</li>"
        for k, line in enumerate(lines)
    )
    return f'<ul class="legend">{items}</ul>'
