"""The control registers of a simulated device: set points with enable, lease and reversion, as its profile states.

Everything behind a name is SI in the house's sign, as it comes from the adapter. Every write to a command's mode,
value, enable, lease or reversion point restarts that command's lease. When the lease runs out the profile decides:

* ``reverts_to_value``: the written reversion value when there is one (and its enable point, if any, is set), else the
  site's fail-safe; the value register then shows it, as SunSpec 704 does;
* ``holds_last``: nothing happens;
* ``fails_open``: the command is cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.profile import CommandSpec, FailBehaviour, PointSpec, Profile


@dataclass(frozen=True, slots=True)
class Effective:
    """What the device makes its unit do. Caps are magnitudes, infinite when open; ``p_w`` and ``q_var`` house sign.

    ``p_w`` None leaves the unit its own wish.
    """

    generation_w_max: float = math.inf
    consumption_w_max: float = math.inf
    p_w: float | None = None
    q_var: float = 0.0


OPEN = Effective()
_OPEN_VALUE = {"generation_w_max": math.inf, "consumption_w_max": math.inf, "p_w": None, "q_var": 0.0}


class ControlBlock:
    """Registers of one device and what they amount to.

    ``fail_safe`` and ``nameplate`` (fixed SI values such as ``w_max_w``) come from the site; with ``starts_open`` the
    unit is free until the first write, otherwise it starts at its fail-safe set point.
    """

    def __init__(
        self, profile: Profile, fail_safe: Effective, nameplate: Mapping[str, float], starts_open: bool
    ) -> None:
        self._profile = profile
        self._fail_safe = fail_safe
        self._start = OPEN if starts_open else fail_safe
        self._writable = {spec.name: spec for spec in profile.points if "w" in spec.access}
        self._commands = tuple(_Command(spec, profile.fails) for spec in profile.commands)
        self._nameplate = dict(nameplate)
        self._registers: dict[str, float] = dict.fromkeys(self._writable, 0.0)
        self._show(self._start)
        self._effective: Effective | None = self._start

    @property
    def registers(self) -> Mapping[str, float]:
        """What every writable point reads."""
        return self._registers

    def write(self, point: str, value: float, now_s: float) -> bool:
        """Take one write; False when the point does not exist, is read-only, or the value is not possible there."""
        spec = self._writable.get(point)
        if spec is None or not _possible(spec, value):
            return False
        self._registers[point] = value
        for command in self._commands:
            if point in command.points:
                command.touched(point, now_s)
        self._effective = None
        return True

    def at(self, now_s: float) -> Effective:
        """The effective set points at ``now_s``; the same object as long as nothing changes."""
        for command in self._commands:
            if command.expired(now_s, self._registers):
                self._expire(command)
                self._effective = None
        if self._effective is None:
            self._effective = self._combine()
        return self._effective

    def remaining_s(self, name: str, now_s: float) -> float:
        """Seconds until the lease of that command runs out; 0 when none is running."""
        for command in self._commands:
            if command.spec.name == name:
                return command.remaining_s(now_s, self._registers)
        return 0.0

    def _combine(self) -> Effective:
        values = {command.spec.name: self._value(command) for command in self._commands}
        return Effective(
            generation_w_max=_number(values.get("generation_w_max", self._start.generation_w_max), math.inf),
            consumption_w_max=_number(values.get("consumption_w_max", self._start.consumption_w_max), math.inf),
            p_w=values.get("p_w", self._start.p_w),
            q_var=_number(values.get("q_var", self._start.q_var), 0.0),
        )

    def _value(self, command: _Command) -> float | None:
        spec = command.spec
        if not command.ever_set:
            return self._of(self._start, spec.name)
        if spec.enable_point is not None and self._registers[spec.enable_point] != spec.enable_value:
            return _OPEN_VALUE[spec.name]
        return self._registers[spec.point] * self._base(spec)

    def _base(self, spec: CommandSpec) -> float:
        return 1.0 if spec.of is None else self._nameplate[spec.of]

    def _expire(self, command: _Command) -> None:
        spec = command.spec
        command.stop()
        if self._profile.fails is FailBehaviour.FAILS_OPEN:
            if spec.enable_point is not None:
                self._registers[spec.enable_point] = 0.0
            command.ever_set = False
            self._start = OPEN
            return
        value = self._reversion(spec)
        if value is not None:
            self._registers[spec.point] = value / self._base(spec)

    def _reversion(self, spec: CommandSpec) -> float | None:
        point, enable = spec.revert_point, spec.revert_enable_point
        written = point is not None and any(command.has_written(point) for command in self._commands)
        enabled = enable is None or self._registers[enable] != 0.0
        if point is not None and written and enabled:
            return self._registers[point] * self._base(spec)
        return self._of(self._fail_safe, spec.name)

    def _show(self, effective: Effective) -> None:
        """Put what the device starts with into its registers, enabled, as if it had been written."""
        for command in self._commands:
            spec, value = command.spec, self._of(effective, command.spec.name)
            if value is None or not math.isfinite(value):
                continue
            self._registers[spec.point] = value / self._base(spec)
            if spec.enable_point is not None:
                self._registers[spec.enable_point] = spec.enable_value

    @staticmethod
    def _of(effective: Effective, name: str) -> float | None:
        value: float | None = getattr(effective, name)
        return value


class _Command:
    """One command's lease."""

    def __init__(self, spec: CommandSpec, fails: FailBehaviour) -> None:
        self.spec = spec
        self.ever_set = False
        self._leased = fails is not FailBehaviour.HOLDS_LAST and spec.lease_point is not None
        self._touched_s: float | None = None
        self._written: set[str] = set()
        names = (spec.mode_point, spec.lease_point, spec.revert_point, spec.revert_enable_point, spec.enable_point)
        self.points = {spec.point, *(name for name in names if name is not None)}

    def touched(self, point: str, now_s: float) -> None:
        """One of the points was written."""
        self._touched_s = now_s
        self._written.add(point)
        if point in (self.spec.point, self.spec.enable_point):
            self.ever_set = True

    def has_written(self, point: str) -> bool:
        """True when somebody wrote that point since the device started."""
        return point in self._written

    def stop(self) -> None:
        """The lease is over; nothing runs until the next write."""
        self._touched_s = None

    def remaining_s(self, now_s: float, registers: Mapping[str, float]) -> float:
        """Seconds left; 0 when none is running."""
        lease_s = self._lease_s(registers)
        if self._touched_s is None or lease_s is None:
            return 0.0
        return max(self._touched_s + lease_s - now_s, 0.0)

    def expired(self, now_s: float, registers: Mapping[str, float]) -> bool:
        """True once, when the lease has run out."""
        if self._touched_s is None:
            return False
        lease_s = self._lease_s(registers)
        return lease_s is not None and now_s > self._touched_s + lease_s

    def _lease_s(self, registers: Mapping[str, float]) -> float | None:
        """The time-out in force; None when there is none (0 means never, as in SunSpec)."""
        if not self._leased or self.spec.lease_point is None:
            return None
        lease_s = registers[self.spec.lease_point]
        return lease_s if lease_s > 0.0 else None


def _number(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _possible(spec: PointSpec, value: float) -> bool:
    """False for NaN, infinities and what lies outside the point's plausible range."""
    if not math.isfinite(value):
        return False
    return (spec.low is None or value >= spec.low) and (spec.high is None or value <= spec.high)
