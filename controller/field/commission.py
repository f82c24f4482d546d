"""Commissioning one device: how fast it answers, how it follows a set point, and what it does when we fall silent.

Reads only, unless it is told that it may write; then the unit is moved towards less, held, left alone until its lease
must have ended, and at last set to its fail-safe set point.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from controller.domain.site import Device
from controller.domain.unit import Unit
from controller.field.step_response import Sample, Silence, Step, analyse_silence, analyse_step
from controller.ports import Clock, FieldDevice
from controller.runtime.commands import command_values

POLLS = 20
VISIBLE_FRAC = 0.05  # of the rating; a smaller step is lost in noise
SETTLE_S, SILENT_MARGIN_S = 15.0, 10.0
RETRY_S, READ_BACKS = 1.0, 5
READ_BACK, ACKNOWLEDGED, CONTRADICTED, NOT_ACKNOWLEDGED = (
    "read back",
    "acknowledged; the device shows none",
    "acknowledged, and another one is shown",
    "NOT acknowledged",
)
"""How far it is known that a device holds what it was left with."""

Say = Callable[[str], None]
Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Answering:
    """How the device answered ``polls`` polls; times in machine seconds, of the polls with a good value."""

    polls: int
    good: int
    median_s: float
    longest_s: float
    not_good: dict[str, str]


@dataclass(slots=True)
class Measured:
    """What was found; None where nothing was tried. ``notes`` says why something was not.

    ``left`` is how far it is known that the device holds its fail-safe set point now; empty when nothing was written.
    """

    answering: Answering
    step: Step | None = None
    silence: Silence | None = None
    left: str = ""
    wrote: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Commissioning:
    """The steps for one device. ``say`` tells the person who is there what happens; ``sleep`` takes site seconds."""

    def __init__(
        self, device: Device, unit: Unit | None, link: FieldDevice, clock: Clock, say: Say, sleep: Sleep | None = None
    ) -> None:
        self._device = device
        self._unit = unit
        self._link = link
        self._clock = clock
        self._say = say
        self._sleep = sleep if sleep is not None else self._real_sleep
        self.found: Measured | None = None
        """What has been found so far, also when :meth:`run` was broken off."""

    async def run(self, *, may_write: bool, commands: frozenset[str]) -> Measured:
        """Measure; ``commands`` are those of the device's profile."""
        self._say(f"{self._device.id}: asking {POLLS} times")
        found = self.found = Measured(await self._answering())
        if self._unit is None:
            found.notes.append("commands no unit: nothing to write")
        elif not may_write:
            found.notes.append("nothing was written: --yes-write was not given")
        elif found.answering.good == 0:
            found.notes.append("nothing was written: the device gave no good value")
        else:
            await self._written(found, self._unit, commands)
        return found

    async def _answering(self) -> Answering:
        took: list[float] = []
        bad: dict[str, str] = {}
        good = 0
        loop = asyncio.get_running_loop()
        for _ in range(POLLS):
            begin = loop.time()
            answers = await self._link.poll()
            if any(answer.quality is Quality.GOOD for answer in answers.values()):
                good += 1
                took.append(loop.time() - begin)
            bad = {name: answer.reason for name, answer in answers.items() if answer.quality is not Quality.GOOD}
            await self._sleep(min(self._device.poll_s, 0.5))
        took.sort()
        median_s, longest_s = (took[len(took) // 2], took[-1]) if took else (math.nan, math.nan)
        return Answering(POLLS, good, median_s, longest_s, bad)

    async def _written(self, found: Measured, unit: Unit, commands: frozenset[str]) -> None:
        before = await self._sample()
        held_w = trial_set_point(unit, before.p_w)
        if math.isnan(held_w):
            found.notes.append(why_not(before.p_w))
            return
        try:
            found.step, samples = await self._stepped(found, unit, commands, before.p_w, held_w)
            if found.step is not None:
                found.silence = await self._left_alone(unit, held_w, samples[-1].at_s)
                found.notes += unclear(found.silence)
        finally:
            found.left = NOT_ACKNOWLEDGED
            found.left = await self._left_safe(found, unit, commands)
            self._say(f"{self._device.id}: fail-safe set point {found.left}")

    async def _stepped(
        self, found: Measured, unit: Unit, commands: frozenset[str], before_w: float, held_w: float
    ) -> tuple[Step | None, list[Sample]]:
        self._say(f"{self._device.id}: set point {held_w / 1e3:.1f} kW, from {before_w / 1e3:.1f} kW")
        written_at_s = self._clock.now_s()
        if not await self._write(found, unit, commands, held_w):
            return None, []
        samples: list[Sample] = []
        refreshed_at_s = written_at_s
        while self._clock.now_s() - written_at_s < SETTLE_S + unit.actuator.latency_s:
            samples.append(await self._sample())
            if self._clock.now_s() - refreshed_at_s > unit.fail_safe.lease_s / 3.0:
                refreshed_at_s = self._clock.now_s()
                await self._write(found, unit, commands, held_w)
            await self._sleep(min(self._device.poll_s, 0.5))
        await self._write(found, unit, commands, held_w)
        samples.append(await self._sample())
        return analyse_step(samples, written_at_s, before_w, held_w), samples

    async def _left_alone(self, unit: Unit, held_w: float, since_s: float) -> Silence:
        wait_s = unit.fail_safe.lease_s + SILENT_MARGIN_S
        self._say(f"{self._device.id}: silent now, watching for {wait_s:g} s")
        samples: list[Sample] = []
        while self._clock.now_s() - since_s < wait_s:
            samples.append(await self._sample())
            await self._sleep(min(self._device.poll_s, 0.5))
        beyond_s = unit.fail_safe.lease_s + 0.5 * SILENT_MARGIN_S
        return analyse_silence(samples, since_s, held_w, unit.fail_safe.p_w, beyond_s)

    async def _left_safe(self, found: Measured, unit: Unit, commands: frozenset[str]) -> str:
        """Set the fail-safe set point, again and again for as long as the last lease may last; what came of it."""
        tries = Measured(found.answering)
        until_s = self._clock.now_s() + unit.fail_safe.lease_s + SILENT_MARGIN_S
        while not await self._write(tries, unit, commands, unit.fail_safe.p_w):
            if len(tries.wrote) == 1:
                self._say(f"{self._device.id}: {tries.notes[-1]}; trying again")
            if self._clock.now_s() >= until_s:
                found.wrote.append(f"{tries.wrote[-1]} ({len(tries.wrote)} times)")
                found.notes.append(f"NOT LEFT SAFE, see to it: {tries.notes[-1]}")
                return NOT_ACKNOWLEDGED
            await self._sleep(RETRY_S)
        found.wrote.append(tries.wrote[-1])
        return await self._held(unit)

    async def _held(self, unit: Unit) -> str:
        """Whether the device says that it holds its fail-safe set point; some take a moment to show it."""
        tolerance_w = max(0.01 * unit.p_rated_w, 1.0)
        shown_w = math.nan
        for _ in range(READ_BACKS):
            shown_w = (await self._sample()).p_set_w
            if abs(shown_w - unit.fail_safe.p_w) <= tolerance_w:
                return READ_BACK
            await self._sleep(RETRY_S)
        return CONTRADICTED if math.isfinite(shown_w) else ACKNOWLEDGED

    async def _write(self, found: Measured, unit: Unit, commands: frozenset[str], p_w: float) -> bool:
        values = {name: value for name, value in command_values(unit, p_w, 0.0).items() if name in commands}
        safe = command_values(unit, unit.fail_safe.p_w, unit.fail_safe.q_var)
        outcome = await self._link.write(values, unit.fail_safe.lease_s, {name: safe[name] for name in values})
        text = ", ".join(f"{name} {value:g}" for name, value in values.items())
        found.wrote.append(f"{self._clock.utc().isoformat(timespec='seconds')} {text}: {outcome.state.value}")
        if outcome.state is not OutcomeState.ACKNOWLEDGED:
            found.notes.append(f"write {text}: {outcome.state.value}, {outcome.reason}")
            return False
        return True

    async def _sample(self) -> Sample:
        answers = await self._link.poll()

        def value(name: str) -> float:
            answer = answers.get(name)
            return answer.value if answer is not None and answer.usable else math.nan

        return Sample(self._clock.now_s(), value("p_w"), value("p_set_w"))

    async def _real_sleep(self, site_s: float) -> None:
        await asyncio.sleep(self._clock.real_s(site_s))


def why_not(present_w: float) -> str:
    """Why no set point was tried at this power."""
    if not math.isfinite(present_w):
        return "nothing was written: the device does not tell its power (gridedge points says why)"
    return f"nothing was written: at {present_w / 1e3:.1f} kW a step would not be seen; try again at more"


def unclear(silence: Silence) -> list[str]:
    """What an engineer should look for when the device did what no profile knows."""
    if silence.behaviour != "unclear":
        return []
    if math.isnan(silence.after_s):
        said = "the device did not answer any more when we fell silent: cable, power, or one that takes one connection"
    else:
        said = (
            f"{silence.after_s:.1f} s after we fell silent it held neither our set point nor the one to fall back to: "
            "does somebody else command it (a controller that still runs, an operator's panel)?"
        )
    return [said]


def trial_set_point(unit: Unit, present_w: float) -> float:
    """A set point towards less that can be seen and told from the fail-safe one; NaN when there is none.

    Half of what the unit does now; three quarters when half is the fail-safe power itself. A battery at rest is charged
    with a fifth of its rating.
    """
    if not math.isfinite(present_w):
        return math.nan
    visible_w = VISIBLE_FRAC * unit.p_rated_w
    idle = abs(present_w) < visible_w and not (unit.kind.generates or unit.kind.consumes)
    choices = (0.2 * unit.p_rated_w,) if idle else (0.5 * present_w, 0.75 * present_w)
    for choice in choices:
        if abs(choice - present_w) >= visible_w and abs(choice - unit.fail_safe.p_w) >= visible_w:
            return choice
    return math.nan
