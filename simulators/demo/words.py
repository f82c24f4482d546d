"""Quantities as people say them: directions in words instead of signs."""

from __future__ import annotations

import math

from controller.domain.unit import UnitKind

_QUIET_W = 500.0  # what would be written as 0 kW is called resting

KIND_WORDS = {
    UnitKind.PV: "solar",
    UnitKind.WIND: "wind",
    UnitKind.GENERATOR: "generator",
    UnitKind.BATTERY: "battery",
    UnitKind.EV_HUB: "EV hub",
    UnitKind.FLEX_LOAD: "flexible load",
}

CAUSE_WORDS = {
    "unit.lost": "no telemetry",
    "guard": "guard",
    "contract.default": "rests by contract",
    "mode.boot": "starting",
}
"""What shapes a set point and is neither a limit nor an order."""


def power(magnitude_w: float) -> str:
    """``3.2 MW``, ``410 kW``; the sign is not shown; ``–`` when unknown."""
    return _scaled(abs(magnitude_w), "W")


def energy(magnitude_wh: float) -> str:
    """``12.4 MWh``, ``310 kWh``; the sign is not shown; ``–`` when unknown."""
    return _scaled(abs(magnitude_wh), "Wh")


def voltage(u_v: float) -> str:
    """``11.12 kV``, ``417.3 V``; ``–`` when unknown."""
    if not math.isfinite(u_v):
        return "–"
    return f"{u_v / 1e3:.2f} kV" if u_v >= 1e3 else f"{u_v:.1f} V"


def percent(frac: float) -> str:
    """``97 %``; ``–`` when unknown."""
    return f"{100.0 * frac:.0f} %" if math.isfinite(frac) else "–"


def percent_fine(frac: float) -> str:
    """``97.3 %``; ``–`` when unknown."""
    return f"{100.0 * frac:.1f} %" if math.isfinite(frac) else "–"


def clock(second_of_day: float) -> str:
    """``12:41:20``; goes on after midnight with 00:00:00."""
    return f"{minute(second_of_day)}:{int(second_of_day) % 60:02d}"


def minute(second_of_day: float) -> str:
    """``12:41``."""
    minutes = int(second_of_day) // 60
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def duration(seconds: float) -> str:
    """``40 s``, ``10 min``, ``2 h 05 min``; ``for good`` when endless."""
    if not math.isfinite(seconds):
        return "for good"
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    hours, minutes = divmod(round(seconds / 60.0), 60)
    return f"{hours} h {minutes:02d} min"


def doing(kind: UnitKind, p_w: float) -> tuple[str, str]:
    """What a unit does, as verb and amount: ``("generating", "3.2 MW")``, ``("resting", "")``."""
    if not math.isfinite(p_w):
        return "unknown", ""
    if abs(p_w) < _QUIET_W:
        return "resting", ""
    if kind is UnitKind.BATTERY:
        return ("charging" if p_w > 0.0 else "discharging"), power(p_w)
    if kind is UnitKind.EV_HUB:
        return ("charging" if p_w > 0.0 else "giving back"), power(p_w)
    return ("taking" if p_w > 0.0 else "generating"), power(p_w)


def allowed(kind: UnitKind, p_set_w: float) -> str:
    """What a set point says: ``up to 3.2 MW`` of what the unit does, or the power itself of a battery."""
    if not math.isfinite(p_set_w):
        return "–"
    if kind is not UnitKind.BATTERY:
        return f"up to {power(p_set_w)}"
    verb, amount = doing(kind, p_set_w)
    return {"charging": "charge", "discharging": "discharge"}.get(verb, "rest") + (f" {amount}" if amount else "")


def interface(p_w: float) -> str:
    """``export 9.8 MW`` or ``import 1.2 MW`` at the connection point (import positive)."""
    if not math.isfinite(p_w):
        return "–"
    return f"{'import' if p_w >= 0.0 else 'export'} {power(p_w)}"


def _scaled(magnitude: float, unit: str) -> str:
    if not math.isfinite(magnitude):
        return "–"
    return f"{magnitude / 1e6:.1f} M{unit}" if magnitude >= 0.9995e6 else f"{magnitude / 1e3:.0f} k{unit}"
