"""From commands of the house to register writes, all encoded before the first one is sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from controller.domain.measurement import Measurement
from drivers.modbus.values import EncodeError, encode_value
from drivers.profile import CommandSpec, PointSpec, Profile

SETUP, VALUE, ENABLE = range(3)


class CommandRefusedError(Exception):
    """A command cannot be turned into registers; nothing was sent."""


@dataclass(frozen=True, slots=True)
class RegisterWrite:
    """``data`` for consecutive holding registers from ``address``, in one request."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Item:
    """One point of a command; ``stage`` orders set-up before the value before the enable."""

    stage: int
    address: int
    data: bytes

    @property
    def end(self) -> int:
        return self.address + len(self.data) // 2


def points_needed(profile: Profile, names: Iterable[str]) -> set[str]:
    """Points whose present value is needed to encode these commands: scale factors and reference values."""
    needed: set[str] = set()
    for name in names:
        command = profile.command(name)
        if command is None:
            continue
        for point in (command.point, command.revert_point, command.mirror_point):
            sf = profile.point(point).sf if point is not None else None
            needed |= {sf} if sf is not None else set()
        needed |= {command.of} if command.of is not None else set()
    return needed


def plan_writes(
    profile: Profile,
    values: Mapping[str, float],
    lease_s: float,
    revert: Mapping[str, float],
    known: Mapping[str, Measurement],
) -> tuple[RegisterWrite, ...]:
    """The register writes of all commands in ``values``, in the order in which they must go out.

    ``known`` holds the present values of :func:`points_needed`. Raises :class:`CommandRefusedError`.
    """
    if not math.isfinite(lease_s) or lease_s < 1.0:
        raise CommandRefusedError(f"lease is {lease_s} s; expected at least 1 s")
    out: list[RegisterWrite] = []
    for name, value in values.items():
        command = profile.command(name)
        if command is None:
            raise CommandRefusedError(f"profile {profile.id} has no command {name}")
        out.extend(_merge(_items(profile, command, value, lease_s, revert, known)))
    return tuple(out)


def _items(
    profile: Profile,
    command: CommandSpec,
    value: float,
    lease_s: float,
    revert: Mapping[str, float],
    known: Mapping[str, Measurement],
) -> list[_Item]:
    """All points of one command, in the order mode, lease, revert, revert enable, value, enable."""
    out: list[_Item] = []

    def put(stage: int, point: str | None, number: float, *, floor: bool = False) -> None:
        if point is not None:
            spec = profile.point(point)
            out.append(_Item(stage, spec.address, _encode(profile, spec, number, known, floor)))

    put(SETUP, command.mode_point, command.mode_value)
    put(SETUP, command.lease_point, math.floor(lease_s))
    if command.revert_point is not None:
        if command.name not in revert:
            raise CommandRefusedError(f"{command.name}: no value to revert to; expected one, the device needs it")
        put(SETUP, command.revert_point, _amount(command, revert[command.name], known), floor=_is_cap(command))
        put(SETUP, command.revert_enable_point, 1.0)
    put(VALUE, command.point, _amount(command, value, known), floor=_is_cap(command))
    put(VALUE, command.mirror_point, -_amount(command, value, known))
    put(ENABLE, command.enable_point, command.enable_value)
    return out


def _is_cap(command: CommandSpec) -> bool:
    return command.name in ("generation_w_max", "consumption_w_max")


def _amount(command: CommandSpec, value: float, known: Mapping[str, Measurement]) -> float:
    """The value in the terms of the command's point; a cap above the reference is no cap, so the reference itself."""
    if not math.isfinite(value) or (_is_cap(command) and value < 0.0):
        wanted = "a finite number of at least 0" if _is_cap(command) else "a finite number"
        raise CommandRefusedError(f"{command.name} is {value}; expected {wanted}")
    if command.of is None:
        return value
    reference = known.get(command.of)
    if reference is None or not reference.usable or reference.value <= 0.0:
        why = "was never read" if reference is None else reference.reason or f"reads {reference.value:g}"
        raise CommandRefusedError(f"{command.name} is a fraction of {command.of}, which has no use: {why}")
    return min(1.0, value / reference.value) if _is_cap(command) else value / reference.value


def _encode(profile: Profile, spec: PointSpec, value: float, known: Mapping[str, Measurement], floor: bool) -> bytes:
    exponent = 0
    if spec.sf is not None:
        factor = known.get(spec.sf)
        if factor is None or not factor.usable:
            why = "was never read" if factor is None else factor.reason
            raise CommandRefusedError(f"{spec.name} cannot be scaled: {spec.sf} {why}")
        exponent = int(factor.value)
    try:
        return encode_value(spec, value, exponent, profile.byte_order, floor=floor)
    except EncodeError as fault:
        raise CommandRefusedError(str(fault)) from None


def _merge(items: list[_Item]) -> list[RegisterWrite]:
    """Adjacent registers in one request: as few requests as keep set-up, value and enable in that order."""
    ordered = sorted(items, key=lambda item: item.address)
    joins = [index for index, (left, right) in enumerate(pairwise(ordered), 1) if left.end == right.address]
    candidates = (
        _runs(ordered, set(joins) - set(kept_apart))
        for cuts in range(len(joins) + 1)
        for kept_apart in combinations(joins, cuts)
    )
    runs = next(runs for runs in candidates if _in_order(runs))  # with every point on its own the order holds
    return [RegisterWrite(run[0].address, b"".join(item.data for item in run)) for run in runs]


def _runs(ordered: list[_Item], joins: set[int]) -> list[list[_Item]]:
    runs: list[list[_Item]] = []
    for index, item in enumerate(ordered):
        if index in joins:
            runs[-1].append(item)
        else:
            runs.append([item])
    return sorted(runs, key=lambda run: max(item.stage for item in run))


def _in_order(runs: list[list[_Item]]) -> bool:
    """True when no point is written in an earlier request than a point that must be in place before it."""
    placed = [(index, item.stage) for index, run in enumerate(runs) for item in run]
    return all(here <= there for here, stage in placed for there, later in placed if stage < later)
