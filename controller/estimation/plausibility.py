"""Meters that answer but do not tell the truth: frozen values.

A live meter's last digits move. When every reading of one element (all its quantities, not all zero) has come
back bit-identical for several fresh samples although it used to move, its source has stopped and the values are
treated as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.measurement import Measurement
from controller.domain.snapshot import Snapshot

FROZEN_AFTER_SAMPLES = 4
MOVED_BEFORE_SAMPLES = 3  # an element that never moved is quiet, not frozen


@dataclass(frozen=True, slots=True)
class FreezeWatch:
    """Per element: last values, fresh samples without any change, fresh samples with a change (saturating)."""

    last: Mapping[str, tuple[float, ...]]
    same: Mapping[str, int]
    moved: Mapping[str, int]
    sampled_at_s: Mapping[str, float]

    def frozen(self, element: str) -> bool:
        """True when the element's readings stopped moving."""
        return self.same.get(element, 0) >= FROZEN_AFTER_SAMPLES and self.moved.get(element, 0) >= MOVED_BEFORE_SAMPLES


def initial_watch() -> FreezeWatch:
    """Nothing seen yet."""
    return FreezeWatch({}, {}, {}, {})


def watch(previous: FreezeWatch, groups: Mapping[str, Sequence[str]], snapshot: Snapshot) -> FreezeWatch:
    """Compare the element's readings with the last fresh sample; only GOOD, newly sampled readings count."""
    last, same = dict(previous.last), dict(previous.same)
    moved, sampled = dict(previous.moved), dict(previous.sampled_at_s)
    for element, names in groups.items():
        readings = [m for name in names if (m := snapshot.get(name)).usable]
        if not readings or readings[0].measured_at_s <= sampled.get(element, -np.inf):
            continue
        values = tuple(m.value for m in readings)
        unchanged = values == last.get(element) and any(values)
        same[element] = same.get(element, 0) + 1 if unchanged else 0
        if not unchanged and element in last:
            moved[element] = min(moved.get(element, 0) + 1, MOVED_BEFORE_SAMPLES)
        last[element], sampled[element] = values, readings[0].measured_at_s
    return FreezeWatch(last, same, moved, sampled)


def usable_values(
    snapshot: Snapshot, names: Sequence[str], elements: Sequence[str], watch_state: FreezeWatch
) -> NDArray[np.float64]:
    """Value of every named point; NaN where it is not GOOD or its element is frozen."""
    out = np.full(len(names), np.nan)
    get = snapshot.points.get
    for k, (name, element) in enumerate(zip(names, elements, strict=True)):
        m: Measurement | None = get(name)
        if m is not None and m.usable and not watch_state.frozen(element):
            out[k] = m.value
    return out
