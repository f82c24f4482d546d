"""A device whose faults are switched on and off by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from runtime_stubs import ACKNOWLEDGED, bad, good

from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement
from controller.ports import Clock


class ScriptedDevice:
    """Implements ``FieldDevice``; answers after ``delay_s``, raises ``bug`` when there is one."""

    def __init__(self, device_id: str, clock: Clock) -> None:
        self.id = device_id
        self.clock = clock
        self.value = 1.0
        self.delay_s = 0.0
        self.silent = False
        self.refuses = False
        self.hangs = False
        self.bug: Exception | None = None
        self.polled_at_s: list[float] = []
        self.writes: list[tuple[float, Mapping[str, float], float]] = []
        self.closed = 0
        self.torn_at_s: list[float] = []

    async def poll(self) -> Mapping[str, Measurement]:
        at_s = self.clock.now_s()
        self.polled_at_s.append(round(at_s, 6))
        await self._take(self.delay_s)
        if self.bug is not None:
            raise self.bug
        return {"p_w": bad(at_s, "connection refused") if self.silent else good(self.value, at_s)}

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        self.writes.append((round(self.clock.now_s(), 6), dict(values), lease_s))
        await self._take(1e9 if self.hangs else self.delay_s)
        if self.bug is not None:
            raise self.bug
        if self.silent:
            return Outcome(OutcomeState.FAILED, "connection refused")
        return Outcome(OutcomeState.REFUSED, "exception 3") if self.refuses else ACKNOWLEDGED

    async def _take(self, duration_s: float) -> None:
        try:
            await asyncio.sleep(duration_s)
        except asyncio.CancelledError:
            self.torn_at_s.append(round(self.clock.now_s(), 6))
            raise

    async def aclose(self) -> None:
        self.closed += 1
