"""Can every unit be what the file says, and is its fail-safe state one that it can take?"""

from __future__ import annotations

import math
from datetime import date

from controller.config.check_network import check_unique
from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema_units import StorageModel, UnitModel
from controller.domain.unit import UnitKind

LEASE_CYCLES_MIN = 3.0
_DIRECTIONS = ("generation", "consumption")


def check_units(draft: Draft) -> None:
    """Every unit by itself, its lease against the cycle, and places in the stack."""
    check_unique(draft, "units")
    for at in draft.units:
        _check_directions(draft, at)
        _check_ratings(draft, at.path, at.item)
        _check_range(draft, at.path, at.item)
        _check_storage(draft, at.path, at.item)
        _check_fail_safe(draft, at.path, at.item)
        _check_lease(draft, at.path, at.item)
        _check_date(draft, at.path, at.item)
    _check_stack(draft)


def _impossible(kind: UnitKind) -> str | None:
    """The direction that a unit of this kind does not have."""
    if kind.generates:
        return "consumption"
    return "generation" if kind.consumes else None


def _check_directions(draft: Draft, at: At[UnitModel]) -> None:
    wrong = _impossible(UnitKind(at.item.kind))
    for key in (f"{wrong}_max_kw", f"{wrong}_min_kw"):
        if wrong is not None and key in at.item.model_fields_set:
            draft.report(
                (*at.path, key), show(getattr(at.item, key)), "the key left out", f"a {at.item.kind} has no {wrong}"
            )
    if UnitKind(at.item.kind) is UnitKind.BATTERY:
        for key in ("generation_min_kw", "consumption_min_kw"):
            if getattr(at.item, key) > 0.0:
                draft.report((*at.path, key), show(getattr(at.item, key)), "0", "a battery can rest")


def _check_ratings(draft: Draft, path: Path, unit: UnitModel) -> None:
    s_rated_kva = unit.s_rated_kva if unit.s_rated_kva is not None else unit.p_rated_kw
    if s_rated_kva < unit.p_rated_kw:
        expected = f"at least p_rated_kw {unit.p_rated_kw:g}"
        draft.report((*path, "s_rated_kva"), show(s_rated_kva), expected, "apparent power includes active power")
    if unit.q_max_kvar > s_rated_kva:
        draft.report((*path, "q_max_kvar"), show(unit.q_max_kvar), f"at most the rating, {s_rated_kva:g} kVA", "")


def _check_range(draft: Draft, path: Path, unit: UnitModel) -> None:
    for direction in _DIRECTIONS:
        least, most = _span_kw(unit, direction)
        if most > unit.p_rated_kw:
            expected = f"at most p_rated_kw {unit.p_rated_kw:g}"
            draft.report((*path, f"{direction}_max_kw"), show(most), expected, "more than the unit is built for")
        if least > most:
            draft.report((*path, f"{direction}_min_kw"), show(least), f"at most {direction}_max_kw {most:g}", "")


def _span_kw(unit: UnitModel, direction: str) -> tuple[float, float]:
    """Least and most power in one direction; (0, 0) for a direction that the kind does not have."""
    if direction == _impossible(UnitKind(unit.kind)):
        return 0.0, 0.0
    most = unit.generation_max_kw if direction == "generation" else unit.consumption_max_kw
    least = unit.generation_min_kw if direction == "generation" else unit.consumption_min_kw
    return least, unit.p_rated_kw if most is None else most


def _check_storage(draft: Draft, path: Path, unit: UnitModel) -> None:
    if unit.kind == "battery" and unit.storage is None:
        draft.report(
            (*path, "storage"), "nothing", "a storage block", "a battery without energy content cannot be planned"
        )
    if unit.kind != "battery" and unit.storage is not None:
        draft.report((*path, "storage"), "a storage block", "the key left out", f"a {unit.kind} stores nothing")
    if unit.storage is not None:
        _check_charge(draft, (*path, "storage"), unit.storage)


def _check_charge(draft: Draft, path: Path, storage: StorageModel) -> None:
    if storage.soc_min_percent >= storage.soc_max_percent:
        expected = f"below soc_max_percent {storage.soc_max_percent:g}"
        draft.report((*path, "soc_min_percent"), show(storage.soc_min_percent), expected, "no room to work in")
    elif not storage.soc_min_percent <= storage.soc_initial_percent <= storage.soc_max_percent:
        expected = f"percent {storage.soc_min_percent:g}…{storage.soc_max_percent:g}"
        draft.report((*path, "soc_initial_percent"), show(storage.soc_initial_percent), expected, "between min and max")


def _check_fail_safe(draft: Draft, path: Path, unit: UnitModel) -> None:
    safe, where = unit.fail_safe, (*path, "fail_safe")
    wrong = _impossible(UnitKind(unit.kind))
    stated = [direction for direction in _DIRECTIONS if getattr(safe, f"{direction}_kw") is not None]
    wanted = [direction for direction in _DIRECTIONS if direction != wrong]
    if len(stated) != 1 or stated[0] == wrong:
        found = " and ".join(f"{direction}_kw" for direction in stated) or "no power"
        expected = " or ".join(f"{direction}_kw" for direction in wanted)
        draft.report(where, found, expected, f"a {unit.kind} must have one stated power to fall back to")
    for direction in stated:
        _check_safe_power(draft, where, unit, direction)
    if abs(safe.q_kvar) > unit.q_max_kvar:
        draft.report((*where, "q_kvar"), show(safe.q_kvar), f"at most q_max_kvar {unit.q_max_kvar:g}", "out of range")


def _check_safe_power(draft: Draft, where: Path, unit: UnitModel, direction: str) -> None:
    value = float(getattr(unit.fail_safe, f"{direction}_kw"))
    least, most = _span_kw(unit, direction)
    if direction == _impossible(UnitKind(unit.kind)):
        return
    if not least <= value <= most:
        expected = f"kW {least:g}…{most:g}"
        draft.report((*where, f"{direction}_kw"), show(value), expected, f"outside the range of {unit.id}")
    s_rated_kva = unit.s_rated_kva if unit.s_rated_kva is not None else unit.p_rated_kw
    if value <= most and math.hypot(value, unit.fail_safe.q_kvar) > s_rated_kva:
        draft.report((*where, "q_kvar"), show(unit.fail_safe.q_kvar), f"within {s_rated_kva:g} kVA with the power", "")


def _check_lease(draft: Draft, path: Path, unit: UnitModel) -> None:
    if draft.control is None:
        return
    least_s = LEASE_CYCLES_MIN * draft.control.cycle_s
    if unit.fail_safe.lease_s < least_s:
        message = f"shorter than {LEASE_CYCLES_MIN:g} cycles: one late cycle would already make the unit fall back"
        expected = f"seconds, at least {least_s:g}"
        draft.report((*path, "fail_safe", "lease_s"), show(unit.fail_safe.lease_s), expected, message)


def _check_date(draft: Draft, path: Path, unit: UnitModel) -> None:
    if not unit.connected_on:
        return
    try:
        date.fromisoformat(unit.connected_on)
    except ValueError as error:
        draft.report((*path, "connected_on"), show(unit.connected_on), "a date YYYY-MM-DD", str(error))


def _check_stack(draft: Draft) -> None:
    taken: dict[int, str] = {}
    for at in draft.units:
        place = at.item.stack_position
        if place and place in taken:
            message = f"{taken[place]} has it already"
            draft.report((*at.path, "stack_position"), show(place), "a place of its own", message)
        taken.setdefault(place, at.item.id)
