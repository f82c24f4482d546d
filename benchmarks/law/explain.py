"""Where a course's bill comes from: cost by unit against the optimum, and what every broken limit cost and why.

A limit that breaks by a step costs something whatever the controller does: the sample that shows it is taken, sent and
waited for, and units act with a dead time and a lag. So the penalty of every spell is split by when it fell due:
*unanswerable* until the first order that a sample of the spell can have caused may act, *answering* for three time
constants of the slowest unit more, *late* after that. Only the last is the law's alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Json = dict[str, Any]
APART_S = 2.0  # a limit kept for so long ends a spell
SHOWN = 8  # dearest spells
SETTLED_TAUS = 3.0
NAMES = ("unanswerable", "answering", "late")


@dataclass(slots=True)
class Spell:
    """One stretch of time with broken limits; ``eur`` by ``NAMES``, ``worst_frac`` of the branch, or pu of the bus."""

    start_s: float
    end_s: float
    where: str
    worst: float
    eur: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


class Bill:
    """Collects penalties while a course runs; :meth:`look` after every step of the plant."""

    def __init__(self, scenario: Any) -> None:
        self._scenario, self._price = scenario, scenario.cfg["objective"]
        self._paid_eur = 0.0
        actuators = [d["actuator"] for d in scenario.ders]
        self._dead_s = min(a["latency_s"] for a in actuators)
        self._slow_s = max(a["latency_s"] + SETTLED_TAUS * max(a["tau_p_s"], a["tau_q_s"]) for a in actuators)
        self._period_s = float(scenario.cfg["control_period_s"])
        self._sample_s = float(scenario.cfg["measurement"]["latency_s"])
        self.spells: list[Spell] = []

    def look(self, world: Any) -> None:
        """Book what the last step of the plant has added to the penalty."""
        judge, now_s = world.acc, float(world.t)
        price = self._price
        paid = judge.kvah / 1e3 * price["overload_eur_per_mvah"] + judge.pus * price["voltage_eur_per_pu_s"]
        due, self._paid_eur = paid - self._paid_eur, paid
        if due <= 0.0:
            return
        if not self.spells or now_s - self.spells[-1].end_s > APART_S:
            self.spells.append(Spell(now_s, now_s, "", 0.0))
        spell = self.spells[-1]
        spell.end_s = now_s
        spell.eur[self._when(spell.start_s, now_s)] += due
        self._name(spell, world)

    def _when(self, start_s: float, now_s: float) -> int:
        """Which of ``NAMES`` a penalty that falls due now belongs to."""
        order_s = math.ceil((start_s + self._sample_s) / self._period_s - 1e-9) * self._period_s
        return int(now_s > order_s + self._dead_s) + int(now_s > order_s + self._slow_s)

    def _name(self, spell: Spell, world: Any) -> None:
        """The element with the largest share of the penalty so far in its own unit."""
        sc = self._scenario
        loading, outside = world.i / sc.i_max, np.maximum(world.v - sc.v_max, sc.v_min - world.v)
        branch, bus = int(loading.argmax()), int(outside.argmax())
        by_branch, by_bus = float(loading[branch]) - 1.0, float(outside[bus])
        if max(by_branch, by_bus) > spell.worst:
            spell.worst = max(by_branch, by_bus)
            spell.where = sc.branches[branch] if by_branch > by_bus else f"bus {sc.net['buses'][bus]['id']}"

    def lines(self, report: Json, optimum: Json) -> Iterator[str]:
        """What to print below the row of the course; ``optimum`` may be empty."""
        total = np.sum([s.eur for s in self.spells], axis=0) if self.spells else np.zeros(3)
        split = ", ".join(f"{name} {eur:.3f}" for name, eur in zip(NAMES, total, strict=True))
        yield f"    penalty {total.sum():.3f} EUR in {len(self.spells)} spells: {split}"
        for s in sorted(self.spells, key=lambda s: -sum(s.eur))[:SHOWN]:
            parts = " / ".join(f"{eur:.3f}" for eur in s.eur)
            yield f"      {s.start_s:9.1f} … {s.end_s:9.1f} s  {s.where:8} {100.0 * s.worst:6.2f} %  EUR {parts}"
        yield from self._by_unit(report, optimum)

    def _by_unit(self, report: Json, optimum: Json) -> Iterator[str]:
        """Cost of curtailment by unit and of the rest, against the optimum."""
        best = optimum.get("curtailed_by_der_mwh", {})
        price = {d["id"]: float(d["cost_eur_per_mwh"]) for d in self._scenario.ders}
        rows = [
            (k, mwh * price[k], best.get(k, math.nan) * price[k]) for k, mwh in report["curtailed_by_der_mwh"].items()
        ]
        keys = (("battery", "battery_eur"), ("storage deficit", "soc_deficit_eur"), ("Q request", "q_request_eur"))
        rows += [(name, float(report[k]), float(optimum.get(k, math.nan))) for name, k in keys]
        for name, ours, theirs in sorted(rows, key=lambda r: -abs(r[1] - r[2]) if math.isfinite(r[2]) else -r[1]):
            if max(ours, theirs if math.isfinite(theirs) else 0.0) > 0.0:
                yield f"      {name:16} {ours:9.3f} EUR, optimum {theirs:9.3f}, more {ours - theirs:+9.3f}"
