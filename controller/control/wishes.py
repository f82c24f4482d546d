"""What reasons other than the site's limits ask of the dispatch, as soft rows that every limit outranks.

A cap on a unit binds both ways: the dispatch never raises a unit above it, and brings it down to it unless a limit
would break. A set point asked for is followed as far as limits allow, before anybody else is left more. Moves that the
controller itself makes are slowed where the site asks for it: only relaxing them costs nothing, so safety goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.control.dispatch import Bounds, Plan, Wishes
from controller.control.resources import Resources
from controller.domain.masks import some
from controller.limits.unit_ranges import UnitRanges

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CAP_PENALTY = 9.0  # of the dearest price: above every price, below every limit
ASKED_PENALTY = 6.0
REACTIVE_PENALTY = 1.0
ROUNDING_W = 1.0
FULL_FRAC = 0.999  # of the rating: a cap above it restricts nothing


@dataclass(frozen=True, slots=True)
class Span:
    """Ranges of the units as magnitudes of their resources, W: at most ``cap_w``, and ``asked_w`` if they can.

    ``open`` when there are none.
    """

    cap_w: Array
    asked_w: Array
    q_var: Array
    open: bool = False

    @property
    def asks(self) -> bool:
        """False when nobody restricts any unit."""
        return not self.open and (some(np.isfinite(self.cap_w)) or some(np.isfinite(self.q_var)))


def span_of(ranges: UnitRanges, r: Resources) -> Span:
    """Per resource; infinite caps where nobody restricts the unit."""
    if not any(ranges.by):
        n = len(r.unit)
        return Span(np.full(n, np.inf), np.zeros(n), ranges.q_var, open=True)
    low, high = ranges.low_w[r.unit], ranges.high_w[r.unit]
    cap = np.maximum(np.where(r.sign > 0.0, high, -low), 0.0)
    asked = np.maximum(np.where(r.sign > 0.0, low, -high), 0.0)
    return Span(
        np.where(cap < FULL_FRAC * r.rated_w, cap, np.inf), np.where(np.isfinite(asked), asked, 0.0), ranges.q_var
    )


def within_caps(bounds: Bounds, output_w: Array, span: Span) -> Bounds:
    """The dispatch's bounds with no move up beyond a cap."""
    up = np.minimum(bounds.up_w, np.maximum(span.cap_w - output_w, 0.0))
    return replace(bounds, up_w=up)


def wishes(span: Span, output_w: Array, q_now_var: Array, resources: Resources) -> Wishes:
    """Soft rows for caps that are exceeded or may be, set points asked for, and reactive set points."""
    n, n_unit = len(output_w), len(q_now_var)
    capped, asked = np.flatnonzero(np.isfinite(span.cap_w)), np.flatnonzero(span.asked_w > 0.0)
    reactive = np.flatnonzero(np.isfinite(span.q_var))
    move, none = np.eye(n), np.zeros((n_unit,))
    turn = np.eye(n_unit)
    rows = [_row(move[k], none) for k in capped] + [_row(-move[k], none) for k in asked]
    rows += [_row(np.zeros(n), s * turn[k]) for k in reactive for s in (1.0, -1.0)]
    gap = [span.cap_w[k] - output_w[k] for k in capped] + [output_w[k] - span.asked_w[k] for k in asked]
    gap += [s * (span.q_var[k] - q_now_var[k]) for k in reactive for s in (1.0, -1.0)]
    price = [CAP_PENALTY] * len(capped) + [ASKED_PENALTY] * len(asked) + [REACTIVE_PENALTY] * (2 * len(reactive))
    a = np.array(rows) if rows else np.empty((0, 2 * n + n_unit))
    return Wishes(a, np.array(gap, dtype=float) / resources.base_w, np.array(price, dtype=float))


def _row(by_resource: Array, by_unit_q: Array) -> Array:
    return np.concatenate([by_resource, -by_resource, by_unit_q])


def join(parts: Sequence[Wishes]) -> Wishes:
    """All of them below each other."""
    return Wishes(
        np.vstack([p.a for p in parts]),
        np.concatenate([p.b for p in parts]),
        np.concatenate([p.penalty for p in parts]),
    )


def settle_within(value_w: Array, fresh_w: Array, plan: Plan, span: Span, fixed: BoolArray) -> Array:
    """Outputs and caps to command, W: never above a cap unless the dispatch needs it for a limit.

    ``value_w`` is what hysteresis made of ``fresh_w``; a set point asked for is not held back by it.
    """
    if span.open:
        return value_w
    needed = ~fixed & (plan.output_w > span.cap_w + ROUNDING_W)
    most = np.where(needed, plan.output_w, span.cap_w)
    out: Array = np.minimum(np.where((span.asked_w > 0.0) & ~fixed, fresh_w, value_w), most)
    return out
