"""Meters that answer but do not tell the truth: frozen values.

A live meter's last digits move. How often an element's readings (all its quantities together, not all zero) come back
bit-identical is learned from every run of repetitions that ended. When they stay identical for so many fresh samples
that this would happen by chance once in ``1 / CHANCE``, the source has stopped and the values are treated as missing.
An idle charger that always reads zero is quiet, not frozen, and says nothing about how it will read when it charges:
a meter that repeats even zeros before it ever moved may well repeat itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.domain.snapshot import Snapshot

CHANCE = 1e-7
SAME_PRIOR = 0.5
SAME_LOW, SAME_HIGH = 0.02, 0.97
LEARN_SAMPLES = 200


@dataclass(frozen=True, slots=True)
class FreezeWatch:
    """Per element: last values, fresh samples without any change, how often unchanged is normal, samples seen."""

    last: Mapping[str, tuple[float, ...]]
    same: Mapping[str, int]
    same_frac: Mapping[str, float]
    seen: Mapping[str, int]
    sampled_at_s: Mapping[str, float]

    def frozen(self, element: str) -> bool:
        """True when the element's readings stopped moving."""
        usual = min(max(self.same_frac.get(element, SAME_PRIOR), SAME_LOW), SAME_HIGH)
        return self.same.get(element, 0) * math.log(usual) < math.log(CHANCE)


def initial_watch() -> FreezeWatch:
    """Nothing seen yet."""
    return FreezeWatch({}, {}, {}, {}, {})


def watch(previous: FreezeWatch, groups: Mapping[str, Sequence[str]], snapshot: Snapshot) -> FreezeWatch:
    """Compare the element's readings with the last fresh sample; only GOOD, newly sampled readings count."""
    last, same = dict(previous.last), dict(previous.same)
    frac, seen, sampled = dict(previous.same_frac), dict(previous.seen), dict(previous.sampled_at_s)
    get = snapshot.points.get
    for element, names in groups.items():
        readings = [m for name in names if (m := get(name)) is not None and m.usable]
        if not readings or readings[0].measured_at_s <= sampled.get(element, -np.inf):
            continue
        values, before = tuple([m.value for m in readings]), last.get(element)
        idle = not any(values) or before is None or not any(before)
        unchanged = values == before and not idle
        run = same.get(element, 0)
        if idle and values == before and element not in seen:
            frac[element] = SAME_HIGH
        elif not idle and not unchanged:
            seen[element] = min(seen.get(element, 0) + run + 1, LEARN_SAMPLES)
            old = frac.get(element, SAME_PRIOR)
            frac[element] = old + (run - (run + 1) * old) / max(seen[element], run + 1)
        same[element] = run + 1 if unchanged else 0
        last[element], sampled[element] = values, readings[0].measured_at_s
    return FreezeWatch(last, same, frac, seen, sampled)
