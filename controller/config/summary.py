"""What a site is, in a few lines for people: the echo of a file that passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.config.fail_safe_flow import Worst
from controller.config.loader import Loaded
from controller.config.physics_checks import fail_safe_proof
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Device
from controller.domain.topology import Topology
from controller.domain.unit import Unit


def summary(loaded: Loaded) -> str:
    """Network, units with their fail-safe, limits with what is left at fail-safe, devices and times."""
    site, file = loaded.site, loaded.file
    proof = {worst.limit.id: worst for worst in fail_safe_proof(file)}
    times = site.cycle
    parts = [
        f"{site.name}: {file.site.title or 'no title'} ({file.site.timezone})",
        f"network: {_network(site.topology)}",
        f"control: cycle {times.cycle_s:g} s, safe within {times.fail_safe_s:g} s, principle {site.principle}",
        "units:",
        *_columns(_unit(unit) for unit in site.units),
        "limits:",
        *_columns(_limit(limit, proof.get(limit.id)) for limit in site.limits),
        "devices:",
        *_columns(_device(device) for device in site.devices),
    ]
    if not loaded.profiles_checked:
        parts.append("not checked: device profiles (no catalogue of profiles is installed)")
    return "\n".join(parts)


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    table = [list(row) for row in rows]
    if not table:
        return ["  none"]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def _network(topology: Topology) -> str:
    least, most = (sum(values) / 1e3 for values in _demand_w(topology))
    return (
        f"{len(topology.buses)} buses, {len(topology.lines)} lines, {len(topology.transformers)} transformers, "
        f"{len(topology.loads)} uncontrolled loads of {least:.0f}…{most:.0f} kW"
    )


def _demand_w(topology: Topology) -> tuple[list[float], list[float]]:
    return [load.p_min_w for load in topology.loads], [load.p_max_w for load in topology.loads]


def _unit(unit: Unit) -> tuple[str, ...]:
    safe = unit.fail_safe
    verb = "generates" if safe.p_w < 0.0 else "takes" if safe.p_w > 0.0 else "rests at"
    most = "" if unit.storage is not None or safe.p_w == 0.0 else "at most "
    state = f"fail-safe: {verb} {most}{abs(safe.p_w) / 1e3:g} kW, {safe.q_var / 1e3:g} kvar after {safe.lease_s:g} s"
    return unit.id, unit.kind.value, f"at {unit.bus}", f"{unit.p_rated_w / 1e3:g} kW", state


def _limit(limit: Limit, worst: Worst | None) -> tuple[str, ...]:
    if limit.kind is LimitKind.VOLTAGE:
        return limit.id, f"{(limit.low or 0.0) / 1e3:.4g}…{limit.high / 1e3:.4g} kV", ""
    scale, unit = (1.0, "A") if limit.kind is LimitKind.THERMAL else (1e-3, "kW")
    rated = f"{limit.rated_high * scale:.4g} {unit}"
    shown = rated if limit.rated_high == limit.high else f"{rated} (at most {limit.high * scale:.4g} {unit})"
    if worst is None:
        return limit.id, shown, "in a loop: not judged at fail-safe"
    share = f" ({worst.value / limit.rated_high:.0%})" if limit.rated_high > 0.0 else ""
    return limit.id, shown, f"at fail-safe at most {worst.value * scale:.4g} {unit}{share}"


def _device(device: Device) -> tuple[str, ...]:
    address = f" unit {device.unit_address}" if device.protocol == "modbus" else ""
    does = f"commands {device.unit}" if device.unit else "meter"
    polls = f"{len(device.feeds)} points every {device.poll_s:g} s"
    return device.id, device.protocol, device.endpoint + address, device.profile, does, polls
