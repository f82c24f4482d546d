"""Do the devices fit their times, their profiles and the points that they feed, and is nothing fed twice?"""

from __future__ import annotations

import re

from controller.config.catalogue import ProfileCatalogue
from controller.config.check_lines import check_lines, line_of
from controller.config.check_network import check_reference, check_unique
from controller.config.convert import UNIT_FEEDS, all_feeds
from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema_units import DeviceModel, UnitModel
from controller.domain.points import (
    AMBIENT_QUANTITIES,
    BRANCH_QUANTITIES,
    BUS_QUANTITIES,
    INTERFACE_QUANTITIES,
    TRANSFORMER_EXTRA,
)
from controller.domain.unit import UnitKind

POLLS_PER_STALE = 3.0
_TARGET = re.compile(r"(-?)(bus|branch|unit|interface|ambient)(?:\.([^.]+))?\.([a-z0-9_]+)")
_WITHOUT_ID = ("interface", "ambient")
_SIGNED = frozenset({"p_w", "q_var", "p_set_w", "q_set_var"})


def check_devices(draft: Draft, catalogue: ProfileCatalogue | None) -> None:
    """Every device by itself and against its profile, then all of them together."""
    check_unique(draft, "devices")
    check_lines(draft)
    for at in draft.devices:
        _check_times(draft, at.path, at.item)
        _check_address(draft, at.path, at.item)
        for point, target in at.item.feeds.items():
            _check_feed(draft, (*at.path, "feeds", point), point, target)
        if not at.item.feeds and at.item.unit is None:
            draft.report(at.path, "neither feeds nor unit", "feeds, unit or both", "nothing would be read from it")
        if at.item.unit is not None:
            check_reference(draft, (*at.path, "unit"), at.item.unit, draft.known("units"), "unit")
        if catalogue is not None:
            _check_profile(draft, at, catalogue)
    _check_shared(draft, catalogue)


def _check_times(draft: Draft, path: Path, device: DeviceModel) -> None:
    if device.poll_s > device.stale_s / POLLS_PER_STALE * (1.0 + 1e-9):
        expected = f"seconds, at most stale_s / 3 = {device.stale_s / POLLS_PER_STALE:g}"
        draft.report((*path, "poll_s"), show(device.poll_s), expected, "two lost polls must not make a value stale")
    if device.timeout_s >= device.stale_s:
        expected = f"seconds, below stale_s {device.stale_s:g}"
        draft.report((*path, "timeout_s"), show(device.timeout_s), expected, "the answer would be stale on arrival")
    control = draft.control
    if control is not None and device.stale_s + control.cycle_s > control.fail_safe_s:
        most_s = control.fail_safe_s - control.cycle_s
        message = f"noticing takes stale_s and acting one cycle, together at most fail_safe_s {control.fail_safe_s:g}"
        draft.report((*path, "stale_s"), show(device.stale_s), f"seconds, at most {most_s:g}", message)


def _check_address(draft: Draft, path: Path, device: DeviceModel) -> None:
    if device.protocol == "opcua" and device.unit_address is not None:
        draft.report((*path, "unit_address"), show(device.unit_address), "the key left out", "OPC UA has none")
    if device.protocol != "opcua" and device.delivery is not None:
        draft.report((*path, "delivery"), show(device.delivery), "the key left out", "only OPC UA has subscriptions")


def _check_feed(draft: Draft, path: Path, point: str, target: str) -> None:
    match = _TARGET.fullmatch(target)
    wrong = "not a point" if match is None else _wrong_element(draft, match[2], match[3], match[4])
    if match is None or wrong:
        draft.report(path, show(target), "a point such as branch.T1.p_w, bus.BB.u_v or unit.PV1.p_w", wrong)
        return
    quantity = match[4]
    if match[1] and quantity not in _SIGNED:
        draft.report(path, show(target), f"{target[1:]}, without '-'", f"{quantity} has no direction to turn")
    if point.rsplit("_", 1)[-1] != quantity.rsplit("_", 1)[-1]:
        message = f"{point} and {quantity} are not of one unit; the last part of the name says it"
        draft.report(path, show(target), f"a target in {point.rsplit('_', 1)[-1]}", message)


def _wrong_element(draft: Draft, kind: str, element: str | None, quantity: str) -> str:
    """Why there is no such controller point; empty when there is one."""
    transformers = draft.known("transformers")
    branch_quantities = (*BRANCH_QUANTITIES, *(TRANSFORMER_EXTRA if element in transformers else ()))
    known: dict[str, tuple[set[str], tuple[str, ...]]] = {
        "bus": (draft.known("buses"), BUS_QUANTITIES),
        "branch": (draft.known("lines") | transformers, branch_quantities),
        "unit": (draft.known("units"), UNIT_FEEDS),
        "interface": (set(), INTERFACE_QUANTITIES),
        "ambient": (set(), AMBIENT_QUANTITIES),
    }
    elements, quantities = known[kind]
    if kind in _WITHOUT_ID and element is not None:
        return f"{kind} takes no id"
    if kind not in _WITHOUT_ID and element not in elements:
        return f"there is no {kind} {element!r}"
    return "" if quantity in quantities else f"{kind} has " + ", ".join(quantities)


def _check_profile(draft: Draft, at: At[DeviceModel], catalogue: ProfileCatalogue) -> None:
    device = at.item
    points, commands = catalogue.points(device.profile), catalogue.commands(device.profile)
    if points is None or commands is None:
        draft.report((*at.path, "profile"), show(device.profile), "a profile that is installed", "")
        return
    protocol = catalogue.protocol(device.profile)
    if protocol is not None and protocol != device.protocol:
        message = f"profile {device.profile} speaks {protocol}"
        draft.report((*at.path, "protocol"), show(device.protocol), protocol, message)
    if device.serial_number is not None and not catalogue.tells_serial(device.profile):
        message = f"the table of {device.profile} knows no register with it"
        draft.report((*at.path, "serial_number"), show(device.serial_number), "the key left out", message)
    for point in device.feeds:
        if point not in points:
            draft.report(
                (*at.path, "feeds", point), show(point), f"a point of profile {device.profile}", "it has none such"
            )
    unit = next((found.item for found in draft.units if found.item.id == device.unit), None)
    if unit is not None:
        _check_abilities(draft, at, unit, points, commands)
        _check_silence(draft, at, unit, catalogue.fails(device.profile))


def _check_abilities(draft: Draft, at: At[DeviceModel], unit: UnitModel, points: set[str], commands: set[str]) -> None:
    """The profile must be able to do what its unit is said to do."""
    profile, path = at.item.profile, (*at.path, "profile")
    kind = UnitKind(unit.kind)
    needed = "generation_w_max" if kind.generates else "consumption_w_max" if kind.consumes else "p_w"
    if needed not in commands:
        draft.report(path, show(profile), f"a profile with the command {needed}", f"unit {unit.id} is a {unit.kind}")
    if unit.q_max_kvar > 0.0 and "q_var" not in commands:
        message = f"it cannot command reactive power; set q_max_kvar of {unit.id} to 0"
        draft.report(path, show(profile), "a profile with the command q_var", message)
    if unit.reports_available and "p_avail_w" not in points:
        message = f"set reports_available of {unit.id} to false"
        draft.report(path, show(profile), "a profile with the point p_avail_w", message)
    if unit.kind == "battery" and "soc_frac" not in points:
        draft.report(path, show(profile), "a profile with the point soc_frac", f"unit {unit.id} is a battery")


def _check_silence(draft: Draft, at: At[DeviceModel], unit: UnitModel, fails: str | None) -> None:
    """A device that does not revert by itself leaves its unit anywhere up to its most: something has to cover that."""
    if fails in (None, "reverts_to_value") or at.item.covered_by or _safe_is_most(unit):
        return
    does = "fails open" if fails == "fails_open" else "holds its last set point"
    message = f"{at.item.profile} {does}: silent, unit {unit.id} may be anywhere up to its most, not at its fail_safe"
    draft.report(
        (*at.path, "covered_by"), "nothing", "what keeps the unit safe then, or a fail_safe at its most", message
    )


def _safe_is_most(unit: UnitModel) -> bool:
    """True when the fail-safe power of a unit is the most that it can do anyhow; never for a battery."""
    kind = UnitKind(unit.kind)
    if kind.generates:
        most_kw = unit.p_rated_kw if unit.generation_max_kw is None else unit.generation_max_kw
        return (unit.fail_safe.generation_kw or 0.0) >= most_kw
    if kind.consumes:
        most_kw = unit.p_rated_kw if unit.consumption_max_kw is None else unit.consumption_max_kw
        return (unit.fail_safe.consumption_kw or 0.0) >= most_kw
    return False


def _check_shared(draft: Draft, catalogue: ProfileCatalogue | None) -> None:
    addresses: dict[object, str] = {}
    commanders: dict[object, str] = {}
    feeders: dict[object, str] = {}
    for at in draft.devices:
        device = at.item
        address = (line_of(device.endpoint), 1 if device.unit_address is None else device.unit_address)
        _once(draft, addresses, address, device.id, (*at.path, "endpoint"), "an address of its own")
        if device.unit is not None:
            _once(draft, commanders, device.unit, device.id, (*at.path, "unit"), "one device for one unit")
        points = None if catalogue is None else catalogue.points(device.profile)
        for point, target in all_feeds(device, points).items():
            where = (*at.path, "feeds", point) if point in device.feeds else (*at.path, "unit")
            _once(draft, feeders, target.removeprefix("-"), device.id, where, "one device for one point")


def _once(draft: Draft, seen: dict[object, str], key: object, device: str, path: Path, expected: str) -> None:
    if key in seen:
        shown = key if isinstance(key, str) else ", unit address ".join(map(str, key)) if isinstance(key, tuple) else ""
        draft.report(path, show(shown), expected, f"device {seen[key]} has it already")
    seen.setdefault(key, device)
