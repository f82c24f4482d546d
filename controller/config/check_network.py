"""Is the network one that can exist?"""

from __future__ import annotations

from collections.abc import Iterable

from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema_network import BandKw, LineModel, LoadModel, TransformerModel
from controller.config.wiring import reachable
from controller.domain.instruction import EVERYTHING, INTERFACE
from controller.domain.platform import DIRECTIONS

_VOLTAGE_SLACK_FRAC = 0.2


def check_network(draft: Draft) -> None:
    """References, ids, and every line, transformer and load by itself; then whether every bus is connected."""
    _check_references(draft)
    check_unique(draft, "buses")
    check_unique(draft, "lines", "transformers")
    check_unique(draft, "loads")
    nominal_kv = {at.item.id: at.item.u_nominal_kv for at in draft.buses}
    for line in draft.lines:
        _check_line(draft, line, nominal_kv)
    for transformer in draft.transformers:
        _check_transformer(draft, transformer.path, transformer.item)
        _check_ratings(draft, transformer.path, transformer.item, nominal_kv)
    for load in draft.loads:
        _check_load(draft, load)
    if draft.clean("network"):
        _check_connected(draft)


RESERVED = (EVERYTHING, INTERFACE, *DIRECTIONS)


def check_unique(draft: Draft, *sections: str) -> None:
    """Each id of the sections once, and none that instructions mean something else by."""
    first: dict[str, int] = {}
    found = [
        (draft.document.line(path), path, name) for section in sections for path, name in draft.ids.get(section, ())
    ]
    for line, path, name in sorted(found, key=lambda entry: entry[0]):
        if name in first:
            draft.report(path, show(name), "each id once", f"already used in line {first[name]}")
        if name in RESERVED:
            draft.report(path, show(name), "another name", "instructions mean something else by it")
        first.setdefault(name, line)


def check_reference(draft: Draft, path: Path, name: str, known: set[str], what: str) -> None:
    """``name`` is one of ``known``."""
    if name not in known:
        draft.report(path, show(name), f"the id of a {what}", "known: " + (", ".join(sorted(known)[:12]) or "none"))


def _check_references(draft: Draft) -> None:
    buses = draft.known("buses")
    for path, name in _bus_references(draft):
        check_reference(draft, path, name, buses, "bus")


def _bus_references(draft: Draft) -> Iterable[tuple[Path, str]]:
    if draft.source is not None:
        yield (*draft.source.path, "bus"), draft.source.item.bus
    for line in draft.lines:
        yield (*line.path, "from_bus"), line.item.from_bus
        yield (*line.path, "to_bus"), line.item.to_bus
    for transformer in draft.transformers:
        yield (*transformer.path, "hv_bus"), transformer.item.hv_bus
        yield (*transformer.path, "lv_bus"), transformer.item.lv_bus
    for load in draft.loads:
        yield (*load.path, "bus"), load.item.bus
    for unit in draft.units:
        yield (*unit.path, "bus"), unit.item.bus


def _check_line(draft: Draft, at: At[LineModel], nominal_kv: dict[str, float]) -> None:
    line = at.item
    if line.from_bus == line.to_bus:
        draft.report((*at.path, "to_bus"), show(line.to_bus), "another bus than from_bus", "a line joins two buses")
    here, there = nominal_kv.get(line.from_bus), nominal_kv.get(line.to_bus)
    if here is not None and there is not None and here != there:
        message = f"{line.from_bus} has {here:g} kV, {line.to_bus} {there:g} kV"
        draft.report((*at.path, "to_bus"), show(line.to_bus), "a bus of the same nominal voltage", message)
    given = {"r_ohm_per_km": line.r_ohm_per_km, "x_ohm_per_km": line.x_ohm_per_km}
    missing = [key for key, value in given.items() if value is None]
    if len(missing) == 1:
        expected = "both r_ohm_per_km and x_ohm_per_km, or neither"
        draft.report((*at.path, missing[0]), "nothing", expected, "half an impedance is none")
    if line.r_ohm_per_km == 0.0 and line.x_ohm_per_km == 0.0:
        draft.report((*at.path, "x_ohm_per_km"), "0", "an impedance above 0", "without one no flow can be computed")


def _check_transformer(draft: Draft, path: Path, item: TransformerModel) -> None:
    if item.hv_bus == item.lv_bus:
        draft.report((*path, "lv_bus"), show(item.lv_bus), "another bus than hv_bus", "a transformer joins two buses")
    if item.s_max_mva is not None and item.s_max_mva > item.s_rated_mva:
        expected = f"at most the nameplate rating, {item.s_rated_mva:g} MVA"
        draft.report((*path, "s_max_mva"), show(item.s_max_mva), expected, "a limit above the rating protects nothing")
    copper_percent = item.load_loss_kw / (item.s_rated_mva * 10.0)
    if copper_percent > item.uk_percent:
        message = f"the loss alone is {copper_percent:.3g} % of the rating, more than uk_percent {item.uk_percent:g}"
        draft.report((*path, "load_loss_kw"), show(item.load_loss_kw), "a load loss below uk", message)
    iron_percent = item.no_load_loss_kw / (item.s_rated_mva * 10.0)
    if iron_percent > item.no_load_current_percent:
        message = (
            f"the loss alone needs {iron_percent:.3g} %, no_load_current_percent is {item.no_load_current_percent:g}"
        )
        draft.report((*path, "no_load_loss_kw"), show(item.no_load_loss_kw), "a loss that the current covers", message)


def _check_ratings(draft: Draft, path: Path, item: TransformerModel, nominal_kv: dict[str, float]) -> None:
    for side, rated_kv, bus in (("u_hv_kv", item.u_hv_kv, item.hv_bus), ("u_lv_kv", item.u_lv_kv, item.lv_bus)):
        nominal = nominal_kv.get(bus)
        if nominal is not None and abs(rated_kv / nominal - 1.0) > _VOLTAGE_SLACK_FRAC:
            draft.report((*path, side), show(rated_kv), f"within 20 % of bus {bus}, {nominal:g} kV", "wrong bus or kV")
    if item.u_hv_kv < item.u_lv_kv:
        draft.report((*path, "u_hv_kv"), show(item.u_hv_kv), f"at least u_lv_kv {item.u_lv_kv:g}", "sides swapped?")
    tap = item.tap
    if tap is None:
        return
    if not tap.lowest <= tap.position <= tap.highest:
        expected = f"steps {tap.lowest}…{tap.highest}"
        draft.report((*path, "tap", "position"), show(tap.position), expected, "from lowest to highest")
    if max(-tap.lowest, tap.highest) * tap.step_percent > 50.0:
        draft.report((*path, "tap", "step_percent"), show(tap.step_percent), "a tap range within 50 %", "")


def _check_load(draft: Draft, at: At[LoadModel]) -> None:
    load = at.item
    if load.consumption_kw is None and load.generation_kw is None:
        draft.report(at.path, "neither power", "consumption_kw or generation_kw", "what is credible must be stated")
    for key, band in (("consumption_kw", load.consumption_kw), ("generation_kw", load.generation_kw)):
        if band is not None:
            _check_band(draft, (*at.path, key), band)


def _check_band(draft: Draft, path: Path, band: BandKw) -> None:
    if not band.min <= band.expected <= band.max:
        found = f"{band.min:g}, {band.expected:g}, {band.max:g}"
        draft.report(path, found, "min ≤ expected ≤ max", "the worst case is taken from min and max")


def _check_connected(draft: Draft) -> None:
    source = draft.source
    if source is None:
        return
    joined = reachable(source.item.bus, _links(draft))
    for at in draft.buses:
        if at.item.id not in joined:
            message = f"no line or transformer joins it to the source at {source.item.bus}"
            draft.report(at.path, f"bus {at.item.id} unconnected", "a connected bus", message)


def _links(draft: Draft) -> list[tuple[str, str]]:
    lines = [(at.item.from_bus, at.item.to_bus) for at in draft.lines]
    return lines + [(at.item.hv_bus, at.item.lv_bus) for at in draft.transformers]
