"""From commands of the house to writes, and from what a device holds to the set points that it reports. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from controller.domain.measurement import Measurement, Quality
from drivers.opcua.values import EncodeError, encode
from drivers.profile import CommandSpec, PointSpec, Profile

CAPS = ("generation_w_max", "consumption_w_max")
"""Commands that are magnitudes: never negative, and rounded towards less."""

Writes = list[tuple[PointSpec, float]]


class UnsupportedError(ValueError):
    """The device has no such command; nothing may be sent."""


def plan_writes(
    profile: Profile,
    values: Mapping[str, float],
    lease_s: float,
    revert: Mapping[str, float],
    held: Mapping[str, Measurement],
) -> list[Writes]:
    """The Write calls that send ``values``, in order: what makes them safe, the values, what makes them count.

    ``held`` is the last poll, for commands that are a fraction of another point. A server may process the nodes of
    one call in any order, so what must come first is a call of its own. Raises :class:`UnsupportedError` or
    :class:`~drivers.opcua.values.EncodeError` before anything is sent.
    """
    if not (math.isfinite(lease_s) and lease_s > 0.0):
        raise EncodeError(f"lease is {lease_s} s; expected a positive number")
    before: dict[str, float] = {}
    during: dict[str, float] = {}
    after: dict[str, float] = {}
    for name, value in values.items():
        command = profile.command(name)
        if command is None:
            raise UnsupportedError(f"profile {profile.id} has no command {name}")
        before.update(_preparations(profile, command, lease_s, revert, held))
        during.update([_target(profile, command, command.point, value, held)])
        if command.enable_point is not None:
            after.update([_plain(profile, command.enable_point, command.enable_value)])
    calls = (before, during, after)
    return [[(profile.point(name), raw) for name, raw in call.items()] for call in calls if call]


def _preparations(
    profile: Profile,
    command: CommandSpec,
    lease_s: float,
    revert: Mapping[str, float],
    held: Mapping[str, Measurement],
) -> Iterator[tuple[str, float]]:
    """Mode, lease, fall-back value and its enabling, each when the device has it."""
    if command.mode_point is not None:
        yield _plain(profile, command.mode_point, command.mode_value)
    if command.lease_point is not None:
        spec = profile.point(command.lease_point)
        yield spec.name, encode(spec, lease_s, floor=True)
    if command.revert_point is not None:
        if command.name not in revert:
            raise EncodeError(f"{command.name} has no value to fall back to; expected one in revert")
        yield _target(profile, command, command.revert_point, revert[command.name], held)
    if command.revert_enable_point is not None:
        yield _plain(profile, command.revert_enable_point, 1.0)


def _plain(profile: Profile, point: str, value: float) -> tuple[str, float]:
    return point, encode(profile.point(point), value)


def _target(
    profile: Profile, command: CommandSpec, point: str, value: float, held: Mapping[str, Measurement]
) -> tuple[str, float]:
    """A set point, as a fraction of ``command.of`` where the device wants one."""
    if not math.isfinite(value) or (command.name in CAPS and value < 0.0):
        raise EncodeError(f"{command.name} is {value}; expected a finite number, and at least 0 for a cap")
    whole = 1.0
    if command.of is not None:
        base = held.get(command.of)
        if base is None or not base.usable or base.value <= 0.0:
            raise EncodeError(f"{command.name} is a fraction of {command.of}, which has not been read")
        whole = base.value
    return point, encode(profile.point(point), value / whole, floor=command.name in CAPS)


def read_backs(profile: Profile, points: Mapping[str, Measurement]) -> dict[str, Measurement]:
    """``p_set_w`` and ``q_set_var`` (load convention) as the device says that it holds them."""
    out: dict[str, Measurement] = {}
    for command in profile.commands:
        held = _held(command, points)
        if held is not None:
            name, sign = _SET_POINTS[command.name]
            out[name] = Measurement(
                sign * held.value, held.quality, held.measured_at_s, held.received_at_s, held.reason
            )
    return out


_SET_POINTS = {
    "generation_w_max": ("p_set_w", -1.0),
    "consumption_w_max": ("p_set_w", 1.0),
    "p_w": ("p_set_w", 1.0),
    "q_var": ("q_set_var", 1.0),
}


def _held(command: CommandSpec, points: Mapping[str, Measurement]) -> Measurement | None:
    """The value of one command in its own sense; None when the device does not show it."""
    shown = points.get(command.read_back or command.point)
    if shown is None:
        return None
    enable = points.get(command.enable_point) if command.enable_point else None
    if enable is not None and not (enable.usable and enable.value == command.enable_value):
        return _unknown(shown, f"{command.enable_point} is {enable.value}; expected {command.enable_value:g}")
    if command.of is None or command.read_back is not None:
        return shown
    base = points.get(command.of)
    if base is None or not base.usable:
        return _unknown(shown, f"{command.of} is not known")
    value = shown.value * base.value
    if math.isinf(value):
        return _unknown(shown, f"{command.point} times {command.of} is {value}; expected a finite number")
    return Measurement(value, shown.quality, shown.measured_at_s, shown.received_at_s, shown.reason)


def _unknown(shown: Measurement, reason: str) -> Measurement:
    return Measurement(math.nan, Quality.BAD, shown.measured_at_s, shown.received_at_s, reason)
