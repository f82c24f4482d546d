"""A loop whose meters do not all tell the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import core_kit as kit

from controller.domain.limit import LimitKind
from controller.domain.record import CycleRecord
from controller.domain.snapshot import Snapshot

Lie = Callable[[str, float, float], float]


class Lying(kit.Loop):
    """A loop whose meters' readings pass through a lie: (point, value, now) → value."""

    def __init__(self, plant: kit.Plant, lie: Lie) -> None:
        super().__init__(plant)
        self.lie = lie
        self.worst_frac: list[float] = []
        original = plant.snapshot

        def snapshot(without: Callable[[str], bool] = lambda _: False) -> Snapshot:
            said = original(without)
            now = said.now_s
            changed = {n: replace(m, value=self.lie(n, m.value, now)) for n, m in said.points.items()}
            return Snapshot(now, changed)

        plant.snapshot = snapshot  # type: ignore[method-assign]

    def run(self, cycles: int, without: Callable[[str], bool] = lambda _: False) -> CycleRecord:
        for _ in range(cycles):
            super().run(1, without)
            truth = self.plant.truth()
            thermal = [x for x in self.plant.site.limits if x.kind is LimitKind.THERMAL]
            self.worst_frac.append(max(truth[f"branch.{x.element}.i_a"] / x.high for x in thermal))
        return self.records[-1]

    def events(self, name: str) -> list[tuple[float, str]]:
        return [(r.now_s, e.subject) for r in self.records for e in r.events if e.name == name]


def factor(element: str, k: float, from_s: float = 0.0, until_s: float = math.inf) -> Lie:
    """One meter reads ``k`` times the truth; a current has no sign."""

    def lie(point: str, value: float, now_s: float) -> float:
        name, quantity = point.rsplit(".", 1)
        if name != element or not from_s <= now_s < until_s or quantity in ("u_v", "p_avail_w", "soc_frac"):
            return value
        return value * (abs(k) if quantity == "i_a" else k)

    return lie


def plant(**changes: object) -> kit.Plant:
    return kit.Plant(kit.site(**changes), {"WIND": 7e6, "PV": 6e6, "HUB": 1e6})
