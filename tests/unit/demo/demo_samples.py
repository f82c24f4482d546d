"""Canned lines of a simulator and a controller at the demo site, with round numbers."""

from __future__ import annotations

from functools import cache
from typing import Any

from simulators.demo.course import limit_frac, limit_value
from simulators.demo.day import Day
from simulators.demo.setting import Setting, setting_of

NOON_S = 12.5 * 3600.0

BUS_U_V = {"GRID": 33000.0, "BB": 11120.0, "N1": 11300.0, "N2": 11350.0, "N3": 11640.0, "N4": 10900.0, "N5": 11150.0}
BRANCH_I_A = {"F1": 432.0, "F2": 384.0, "F2B": 150.0, "F3": 220.0, "F4": 45.0, "T1": 327.4, "T2": 310.9}
BRANCH_P_W = {"F1": -8.2e6, "F2": -7.1e6, "F2B": -2.9e6, "F3": 4.1e6, "F4": -0.7e6, "T1": -6.1e6, "T2": -5.8e6}
UNIT_P_W = {"WIND1": -8.4e6, "PVA": -5.2e6, "PVB": -3.1e6, "BAT1": 1.0e6, "EVH1": 0.72e6, "CES1": -1.2e6}
AVAILABLE_W = {"WIND1": 10.5e6, "PVA": 5.3e6, "PVB": 3.8e6, "BAT1": None, "EVH1": 0.72e6, "CES1": 1.2e6}
CAUSES = {"WIND1": ["T1.thermal"], "PVB": ["N3.voltage", "T1.thermal"], "BAT1": ["T1.thermal"]}


@cache
def setting(controlled: bool = True, compared: bool = True, name: str = "demo_primary") -> Setting:
    return setting_of(
        name,
        speed=144.0,
        seed=1,
        hours=24.0,
        start=None,
        cycle_ms=25.0,
        controlled=controlled,
        compared=compared,
    )


def truth(t_s: float = NOON_S, **changed: Any) -> dict[str, Any]:
    """The ``truth`` of a status line."""
    return {
        "t_s": t_s,
        "bus_u_v": BUS_U_V,
        "branch_i_a": BRANCH_I_A,
        "branch_p_w": BRANCH_P_W,
        "branch_q_var": dict.fromkeys(BRANCH_P_W, 0.0),
        "interface_p_w": -11.9e6,
        "interface_q_var": 0.0,
        "unit_p_w": UNIT_P_W,
        "unit_q_var": dict.fromkeys(UNIT_P_W, 0.0),
        "unit_available_w": AVAILABLE_W,
        "unit_soc_frac": {unit: 0.52 if unit == "BAT1" else None for unit in UNIT_P_W},
        "top_oil_c": {"T1": 55.0, "T2": 54.0},
        "tap_pos": {"T1": -1, "T2": -1},
        "converged": True,
        **changed,
    }


def score(t_s: float = NOON_S, over_s: float = 0.0, highest_frac: float = 0.991) -> dict[str, Any]:
    """The ``score`` of a status line; ``over_s`` is T1's."""
    site = setting().site
    limits = [
        {
            "id": limit.id,
            "kind": limit.kind.value,
            "highest_frac": highest_frac if limit.element == "T1" else 0.5,
            "over_s": over_s if limit.element == "T1" else 0.0,
            "longest_over_s": over_s if limit.element == "T1" else 0.0,
        }
        for limit in site.limits
    ]
    units = [
        {
            "id": unit.id,
            "kind": unit.kind.value,
            "curtailed_wh": 2.5e6 if unit.kind.generates else 0.0,
            "flexed_wh": 0.0 if unit.kind.generates else 0.8e6,
            "energy_wh": -40.0e6 if unit.kind.generates else 6.0e6,
        }
        for unit in site.units
    ]
    return {"duration_s": t_s, "limits": limits, "units": units}


def status(t_s: float = NOON_S, over_s: float = 0.0, **changed: Any) -> dict[str, Any]:
    """One status line of the simulator; a meter is silent from 12:20 to 12:30."""
    silent = {"kind": "silent", "device": "MT1", "start_s": NOON_S - 600.0, "end_s": NOON_S}
    faults = [silent] if t_s >= NOON_S - 600.0 else []
    return {"t_s": t_s, "truth": truth(t_s, **changed), "score": score(t_s, over_s), "faults": faults}


def uncontrolled(t_s: float = NOON_S) -> dict[str, Any]:
    """One status line of the other world: T1 at 118 %, N3 at 139 %."""
    currents = BRANCH_I_A | {"T1": 390.2, "T2": 370.4}
    line = status(t_s, 5400.0, branch_i_a=currents, bus_u_v=BUS_U_V | {"N3": 11920.0})
    return line | {"score": score(t_s, 5400.0, 1.31)}


def event(name: str, subject: str, text: str = "") -> dict[str, str]:
    return {"name": name, "subject": subject, "text": text}


def record(
    seq: int = 12500,
    now_s: float = NOON_S,
    events: tuple[dict[str, str], ...] = (),
    causes: dict[str, list[str]] | None = None,
    qualities: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One cycle record as it is published: the controller sees what is true, less one percent."""
    site = setting().site
    reasons = CAUSES if causes is None else causes
    binding = {cause for each in reasons.values() for cause in each}
    limits = []
    for limit in site.limits:
        frac = round(limit_frac(limit, limit_value(limit, truth())) - 0.01, 4)
        quality = (qualities or {}).get(limit.id, "measured")
        limits.append(
            {"id": limit.id, "loading_frac": frac, "worst_frac": frac + 0.2, "quality": quality}
            | {"binding": limit.id in binding}
        )
    units = [
        {
            "id": unit.id,
            "p_set_w": UNIT_P_W[unit.id] if unit.id in reasons else -unit.p_rated_w * (-1 if unit.kind.consumes else 1),
            "status": "held" if unit.id in reasons else "free",
            "causes": reasons.get(unit.id, []),
        }
        for unit in site.units
    ]
    return {
        "seq": seq,
        "now_s": now_s,
        "mode": "normal",
        "limits": limits,
        "units": units,
        "events": list(events),
        "cycle_ms": {"p50": 2.1, "p99": 4.8, "max": 9.5, "missed": 3},
        "polls": {"ok": 175000, "failed": 41},
        "stretch": 3.6,
        "devices": {device.id: {"ok": device.id != "MT1", "age_s": 2.0} for device in site.devices},
    }


def day_at_noon(controlled: bool = True, compared: bool = True) -> Day:
    """The demo day at half past twelve: a meter silent since 12:20, a solar farm to go deaf at 13:30."""
    day = Day(setting(controlled, compared))
    for t_s in (NOON_S - 600.0, NOON_S - 60.0, NOON_S):
        day.take_status(status(t_s), heard_s=t_s / 144.0)
        if compared:
            day.uncontrolled.take(uncontrolled(t_s))
        if controlled:
            told = (event("limit.bound", "T1.thermal"), event("limit.bound", "N3.voltage"))
            lost = (event("limit.unseen", "T1.thermal"), event("limit.unseen", "BB.voltage"))
            events = told if t_s < NOON_S - 300.0 else lost if t_s < NOON_S else ()
            day.take_record(record(int(t_s / 3.6), t_s, events, qualities={"T1.thermal": "estimated"}), t_s / 144.0)
    return day
