"""Do the limits name something, stay within ratings, and can they be measured?"""

from __future__ import annotations

from collections.abc import Iterable

from controller.config.catalogue import ProfileCatalogue
from controller.config.check_network import check_reference
from controller.config.convert import all_feeds, to_line, to_transformer
from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema import LimitsModel, ThermalLimitModel, VoltageLimitModel

_RATING_SLACK = 1.0 + 1e-9


def check_limits(draft: Draft) -> None:
    """Every limit by itself; references; each element limited once; at least one limit."""
    ratings_a = {at.item.id: to_line(at.item, 50.0).i_max_a for at in draft.lines}
    ratings_a |= {at.item.id: to_transformer(at.item).i_max_a for at in draft.transformers}
    seen: dict[str, str] = {}
    for thermal in draft.thermal:
        _check_thermal(draft, thermal, ratings_a)
        _check_once(draft, seen, thermal.item.branch, (*thermal.path, "branch"))
    nominal_kv = {at.item.id: at.item.u_nominal_kv for at in draft.buses}
    for voltage in draft.voltage:
        _check_band(draft, voltage, nominal_kv)
        for index, bus in enumerate(voltage.item.buses):
            check_reference(draft, (*voltage.path, "buses", index), bus, draft.known("buses"), "bus")
            _check_once(draft, seen, f"bus {bus}", (*voltage.path, "buses", index))
    if draft.limits is not None and _is_empty(draft.limits):
        draft.report(("limits",), "no limit", "thermal, voltage, export_kw or import_kw", "there is nothing to keep")


def _is_empty(limits: LimitsModel) -> bool:
    return not limits.thermal and not limits.voltage and limits.export_kw is None and limits.import_kw is None


def _check_once(draft: Draft, seen: dict[str, str], element: str, path: Path) -> None:
    if element in seen:
        draft.report(path, show(element), "one limit for one element", f"already limited by {seen[element]}")
    seen.setdefault(element, ".".join(str(part) for part in path[:-1]))


def _check_thermal(draft: Draft, at: At[ThermalLimitModel], ratings_a: dict[str, float]) -> None:
    limit, rating_a = at.item, ratings_a.get(at.item.branch)
    branches = draft.known("lines", "transformers")
    check_reference(draft, (*at.path, "branch"), limit.branch, branches, "line or transformer")
    if limit.i_max_a is not None and rating_a is not None and limit.i_max_a > rating_a * _RATING_SLACK:
        message = "a limit above the rating protects nothing"
        expected = f"A, at most the rating of {limit.branch}, {rating_a:.4g}"
        draft.report((*at.path, "i_max_a"), show(limit.i_max_a), expected, message)


def _check_band(draft: Draft, at: At[VoltageLimitModel], nominal_kv: dict[str, float]) -> None:
    band = at.item
    percents, volts = (band.below_percent, band.above_percent), (band.low_kv, band.high_kv)
    if not (_both(percents) and _none(volts)) and not (_both(volts) and _none(percents)):
        expected = "below_percent with above_percent, or low_kv with high_kv"
        draft.report(at.path, "another set of keys", expected, "both edges, stated in one way")
        return
    if band.low_kv is None or band.high_kv is None:
        if (band.below_percent or 0.0) + (band.above_percent or 0.0) == 0.0:
            draft.report((*at.path, "above_percent"), "0", "a band of some width", "no voltage lies within")
        return
    for bus in band.buses:
        nominal = nominal_kv.get(bus)
        if nominal is not None and not band.low_kv <= nominal <= band.high_kv:
            message = f"bus {bus} has {nominal:g} kV nominal"
            draft.report((*at.path, "low_kv"), f"{band.low_kv:g}…{band.high_kv:g}", "a band around nominal", message)


def _both(pair: Iterable[float | None]) -> bool:
    return all(value is not None for value in pair)


def _none(pair: Iterable[float | None]) -> bool:
    return all(value is None for value in pair)


def check_measured(draft: Draft, catalogue: ProfileCatalogue | None) -> None:
    """Every limit and every unit is seen by some device, and every unit is commanded by one."""
    fed = fed_points(draft, catalogue)
    commanded = {at.item.unit for at in draft.devices}
    for at in draft.units:
        if at.item.id not in commanded:
            draft.report(
                at.path, f"unit {at.item.id} without a device", "a device with this unit", "nothing commands it"
            )
        elif f"unit.{at.item.id}.p_w" not in fed:
            draft.report(at.path, f"unit {at.item.id} unmeasured", f"a device that feeds unit.{at.item.id}.p_w", "")
    for thermal in draft.thermal:
        if not _sees_current(thermal.item.branch, fed):
            branch = thermal.item.branch
            expected = f"a device that feeds branch.{branch}.i_a, or its p_w and q_var"
            draft.report(thermal.path, f"{branch} unmeasured", expected, "a limit that nothing measures cannot be kept")
    _check_voltages_seen(draft, fed)
    _check_interface_seen(draft, fed)


def fed_points(draft: Draft, catalogue: ProfileCatalogue | None) -> set[str]:
    """Every controller point that some device feeds."""
    return {
        target.removeprefix("-")
        for at in draft.devices
        for target in all_feeds(at.item, None if catalogue is None else catalogue.points(at.item.profile)).values()
    }


def _sees_current(branch: str, fed: set[str]) -> bool:
    return f"branch.{branch}.i_a" in fed or {f"branch.{branch}.p_w", f"branch.{branch}.q_var"} <= fed


def _check_voltages_seen(draft: Draft, fed: set[str]) -> None:
    seen = _seen_voltages(draft, fed)
    for at in draft.voltage:
        for index, bus in enumerate(at.item.buses):
            if bus not in seen:
                expected = f"a device that feeds bus.{bus}.u_v, or the flow from a bus whose voltage is known"
                message = "a limit that nothing measures cannot be kept"
                draft.report((*at.path, "buses", index), f"{bus} unmeasured", expected, message)


def _seen_voltages(draft: Draft, fed: set[str]) -> set[str]:
    """Buses whose voltage is measured, or follows from a neighbour's over a branch with measured flow."""
    links = [(at.item.id, at.item.from_bus, at.item.to_bus) for at in draft.lines]
    links += [(at.item.id, at.item.hv_bus, at.item.lv_bus) for at in draft.transformers]
    flows = [(one, other) for name, one, other in links if f"branch.{name}.p_w" in fed and _sees_current(name, fed)]
    seen = {at.item.id for at in draft.buses if f"bus.{at.item.id}.u_v" in fed}
    for _ in flows:
        seen |= {there for here, there in flows if here in seen} | {here for here, there in flows if there in seen}
    return seen


def _check_interface_seen(draft: Draft, fed: set[str]) -> None:
    limits = draft.limits
    sums = {f"branch.{at.item.id}.p_w" for at in draft.transformers}
    if limits is None or "interface.p_w" in fed or (sums and sums <= fed):
        return
    for key, value in (("export_kw", limits.export_kw), ("import_kw", limits.import_kw)):
        if value is not None:
            expected = "a device that feeds interface.p_w, or p_w of every transformer"
            draft.report(
                ("limits", key), "the interface unmeasured", expected, "a limit that nothing measures cannot be kept"
            )
