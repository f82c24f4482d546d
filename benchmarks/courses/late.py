"""Telemetry that arrives late and does not say so: the time stamp says "now", the value is older."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

UNITS, NETWORK = ("der.",), ("bus.", "branch.", "interface.")
GROUPS = {"units": UNITS, "network": NETWORK}


@dataclass
class Late:
    """Delays of groups of points, s, by the beginnings of their names; remembers what the plant has measured."""

    delay_s: Mapping[tuple[str, ...], float]
    _past: deque[tuple[float, list[float]]] = field(default_factory=deque)

    @staticmethod
    def of(text: str | None) -> Late | None:
        """From ``units=2``, ``network=0.5`` or ``der.PV1.=5``, comma separated. Raises ValueError for anything else."""
        if not text:
            return None
        pairs = [part.split("=") for part in text.split(",")]
        if any(len(p) != 2 for p in pairs):
            raise ValueError(f"--late is {text!r}; expected GROUP=SECONDS, comma separated, as in units=2")
        return Late({GROUPS.get(name, (name,)): float(value) for name, value in pairs})

    def remember(self, plant: Any) -> None:
        """Take note of the plant's newest sample; call it after every plant step."""
        at_s, values, _ = plant.hist[-1]
        self._past.append((at_s, values.tolist()))
        oldest_s = at_s - max(self.delay_s.values()) - plant.mcfg["latency_s"]
        while len(self._past) > 1 and self._past[1][0] <= oldest_s + 1e-9:
            self._past.popleft()

    def observe(self, plant: Any) -> Json:
        """What the plant shows now, its late points as they were that much earlier; the stamps stay as they are."""
        observation: Json = plant.observe()
        if not self._past:
            self.remember(plant)
        values = dict(observation["values"])
        for beginnings, delay_s in self.delay_s.items():
            then = self._at(observation["t_sample_s"] - delay_s)
            late = ((n, v) for n, v in zip(plant.names, then, strict=True) if n.startswith(beginnings))
            values |= {n: v if math.isfinite(v) else None for n, v in late}
        return observation | {"values": values}

    def _at(self, instant_s: float) -> list[float]:
        """The newest sample that is no younger than ``instant_s``; the first one before there was any."""
        before = [values for at_s, values in self._past if at_s <= instant_s + 1e-9]
        return before[-1] if before else self._past[0][1]
