"""What a simulated substation really did, gathered from its status lines."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site

KEEP_S = 20.0
"""Samples closer together than this are not kept, s of the site."""
GONE_S = 300.0
"""A sample says nothing about what comes later than this after it, s of the site."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The true state at one instant. Tuples are in the order of the site's limits and units.

    ``value`` in the limit's own unit, ``frac`` of the limit; units in load convention, ``available_w`` a magnitude or
    NaN; ``interface_p_w`` import positive.
    """

    t_s: float
    value: tuple[float, ...]
    frac: tuple[float, ...]
    p_w: tuple[float, ...]
    available_w: tuple[float, ...]
    soc_frac: tuple[float, ...]
    interface_p_w: float


class Course:
    """The truth so far: the newest state and score, and samples for the drawing."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.samples: list[Sample] = []
        self._scores: list[Mapping[str, Any]] = []
        self._times_s: list[float] = []
        self.newest: Sample | None = None
        self.truth: Mapping[str, Any] = {}
        self.score: Mapping[str, Any] = {}
        self.over = False

    @property
    def t_s(self) -> float:
        """Site seconds since the start that are known."""
        return 0.0 if self.newest is None else self.newest.t_s

    def take(self, line: Mapping[str, Any]) -> None:
        """One status line: ``t_s, truth, score``, or the last one with ``final``. Answers to commands are ignored."""
        if "score" not in line:
            return
        self.score = line["score"]
        self.over = self.over or bool(line.get("final"))
        if "truth" in line:
            self.truth = line["truth"]
            self.newest = sample(self._site, self.truth)
            if not self._times_s or self.newest.t_s >= self._times_s[-1] + KEEP_S:
                self.samples.append(self.newest)
                self._scores.append(self.score)
                self._times_s.append(self.newest.t_s)

    def at(self, t_s: float) -> Sample | None:
        """The last kept sample not younger than ``t_s``; None where nothing is known."""
        place = self._place(t_s)
        return None if place is None else self.samples[place]

    def score_at(self, t_s: float) -> Mapping[str, Any]:
        """The score as it stood at ``t_s``; empty where nothing is known."""
        place = self._place(t_s)
        if self.over and t_s >= self.t_s:
            return self.score
        return {} if place is None else self._scores[place]

    def _place(self, t_s: float) -> int | None:
        place = bisect_right(self._times_s, t_s)
        return place - 1 if place and t_s <= self._times_s[-1] + GONE_S else None


def sample(site: Site, truth: Mapping[str, Any]) -> Sample:
    """The true state as the limits and units see it."""
    values = tuple(limit_value(limit, truth) for limit in site.limits)

    def of_units(key: str) -> tuple[float, ...]:
        return tuple(_number(truth[key].get(unit.id)) for unit in site.units)

    return Sample(
        t_s=float(truth["t_s"]),
        value=values,
        frac=tuple(limit_frac(limit, value) for limit, value in zip(site.limits, values, strict=True)),
        p_w=of_units("unit_p_w"),
        available_w=of_units("unit_available_w"),
        soc_frac=of_units("unit_soc_frac"),
        interface_p_w=_number(truth["interface_p_w"]),
    )


def limit_value(limit: Limit, truth: Mapping[str, Any]) -> float:
    """The quantity that is limited: A, V line-to-line, or W in the limit's direction (≥ 0)."""
    if limit.kind is LimitKind.THERMAL:
        return _number(truth["branch_i_a"][limit.element])
    if limit.kind is LimitKind.VOLTAGE:
        return _number(truth["bus_u_v"][limit.element])
    p_w = _number(truth["interface_p_w"])
    return max(0.0, -p_w if limit.kind is LimitKind.EXPORT else p_w) if math.isfinite(p_w) else math.nan


def limit_frac(limit: Limit, value: float) -> float:
    """Share of the limit in use; of a voltage band: distance from its middle over half its width."""
    if limit.low is None:
        return abs(value) / limit.high
    return abs(value - 0.5 * (limit.high + limit.low)) / (0.5 * (limit.high - limit.low))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
