"""What a schema cannot say about a site file: references, physics, times, and proof of the fail-safe state."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from controller.config.catalogue import ProfileCatalogue
from controller.config.check_connection import check_connection
from controller.config.check_devices import check_devices
from controller.config.check_limits import check_limits, check_measured
from controller.config.check_market import check_market
from controller.config.check_national import check_national
from controller.config.check_network import check_network
from controller.config.check_planning import check_planning
from controller.config.check_platform import check_platform
from controller.config.check_telemetry import check_telemetry
from controller.config.check_thermal import check_thermal
from controller.config.check_units import check_units
from controller.config.check_weather import check_weather
from controller.config.convert import to_site
from controller.config.draft import Draft
from controller.config.fail_safe_flow import Worst, worst_flows
from controller.config.finding import Path, show
from controller.config.schema import SiteFile
from controller.config.schema_network import LoadModel
from controller.domain.limit import Limit, LimitKind


def check_parts(draft: Draft, catalogue: ProfileCatalogue | None) -> None:
    """Add every finding about the well-formed parts; whole-site checks only where their sections are clean."""
    check_network(draft)
    check_units(draft)
    check_devices(draft, catalogue)
    check_limits(draft)
    check_thermal(draft)
    check_connection(draft)
    if draft.clean("network", "units", "devices", "limits"):
        check_measured(draft, catalogue)


def check_whole(draft: Draft, file: SiteFile) -> None:
    """Add findings that need the whole, well-formed file: its time zone, and limits that the units cannot clear."""
    check_timezone(draft, file.site.timezone)
    check_platform(draft, file)
    check_telemetry(draft, file)
    check_planning(draft, file)
    check_national(draft, file)
    check_market(draft, file)
    check_weather(draft, file)
    if not draft.clean("network", "units", "limits"):
        return
    for worst in fail_safe_proof(file):
        if not worst.holds:
            _report_unclearable(draft, file, worst)


def fail_safe_proof(file: SiteFile) -> tuple[Worst, ...]:
    """Worst value of every limit that can be judged, with all units at their fail-safe set points."""
    site = to_site(file, {device.id: {} for device in file.devices})
    return worst_flows(site, {load.id: _load_q_var(load) for load in file.network.loads})


def _load_q_var(load: LoadModel) -> tuple[float, float]:
    """Least and most reactive power of a load: its consumption's, at its power factor."""
    if load.consumption_kw is None:
        return 0.0, 0.0
    tan_phi = math.tan(math.acos(load.power_factor))
    return load.consumption_kw.min * 1e3 * tan_phi, load.consumption_kw.max * 1e3 * tan_phi


def _report_unclearable(draft: Draft, file: SiteFile, worst: Worst) -> None:
    scale, unit = (1.0, "A") if worst.limit.kind is LimitKind.THERMAL else (1e-3, "kW")
    direction = "out of" if worst.outward else "into"
    cause = f"lower fail_safe of {', '.join(worst.units)}" if worst.units else "uncontrolled loads alone exceed it"
    draft.report(
        _path_of(file, worst.limit),
        f"{worst.value * scale:.4g} {unit} left at fail-safe",
        f"at most {worst.limit.rated_high * scale:.4g} {unit}",
        f"worst credible flow {direction} this part with every unit at its fail-safe set point; {cause}",
    )


def _path_of(file: SiteFile, limit: Limit) -> Path:
    if limit.kind is not LimitKind.THERMAL:
        return ("limits", "export_kw" if limit.kind is LimitKind.EXPORT else "import_kw")
    index = next(i for i, item in enumerate(file.limits.thermal) if item.branch == limit.element)
    return ("limits", "thermal", index)


def check_timezone(draft: Draft, name: str) -> None:
    """The zone is one of the IANA database, where this machine has one."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if available_timezones():
            draft.report(("site", "timezone"), show(name), "an IANA time zone such as Europe/London", "unknown here")
