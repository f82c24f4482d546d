"""Builders of network.json: small radial networks from few numbers."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

# Time constants by make of unit: (tau_p_s, tau_q_s, ramp up and down as shares of rating per second, latency_s).
ACTUATORS = {
    "pv": (1.2, 0.6, 0.10, 0.30, 0.7),
    "wind": (3.0, 1.0, 0.03, 0.10, 0.9),
    "battery": (0.3, 0.3, 1.0, 1.0, 0.5),
    "flex_load": (1.5, 0.5, 0.10, 0.25, 1.0),
}


def bus(name: str, u_rated_v: float, low_pu: float, high_pu: float, *, measured: bool = True) -> Json:
    """A bus with its voltage limits."""
    return {"id": name, "u_rated_v": u_rated_v, "v_min_pu": low_pu, "v_max_pu": high_pu, "measured": measured}


def line(name: str, ends: tuple[str, str], z_ohm: complex, i_max_a: float, *, measured: bool = True) -> Json:
    """A line from the source side to the load side; ``z_ohm`` is r + jx of the whole length."""
    return {
        "id": name,
        "from": ends[0],
        "to": ends[1],
        "r_ohm": round(z_ohm.real, 6),
        "x_ohm": round(z_ohm.imag, 6),
        "b_s": 2e-6,
        "i_max_a": i_max_a,
        "measured": measured,
    }


def transformer(name: str, ends: tuple[str, str], u_v: tuple[float, float], s_va: float, uk_pu: float) -> Json:
    """A two-winding transformer on its middle tap, copper losses 0.5-1 % of its rating as in the small ones."""
    return {
        "id": name,
        "hv_bus": ends[0],
        "lv_bus": ends[1],
        "sn_va": s_va,
        "u1_v": u_v[0],
        "u2_v": u_v[1],
        "uk_pu": uk_pu,
        "pk_w": (0.005 if s_va > 2e6 else 0.01) * s_va,
        "i0_pu": 0.001,
        "p0_w": 0.0006 * s_va,
        "tap_pos": 0,
        "tap_min": -9,
        "tap_max": 9,
        "tap_size_pu": 0.0125,
        "s_max_va": s_va,
        "measured": True,
    }


def load(name: str, at: str, p_w: float, q_var: float, profile: str = "load") -> Json:
    """A load that nobody controls or measures."""
    return {"id": name, "bus": at, "p_w": p_w, "q_var": q_var, "profile_p": profile, "profile_q": profile}


def unit(
    name: str,
    at: str,
    kind: str,
    p_w: float,
    cost: float,
    stack: int,
    *,
    reports: bool = True,
    q_frac: float = 0.484,
) -> Json:
    """A controllable unit; its profile column carries its name in lower case."""
    tau_p, tau_q, up, down, latency = ACTUATORS[kind]
    return {
        "id": name,
        "bus": at,
        "type": kind,
        "p_rated_w": p_w,
        "s_rated_va": 1.1 * p_w,
        "q_max_var": q_frac * p_w,
        "cost_eur_per_mwh": cost,
        "stack_position": stack,
        "actuator": {
            "tau_p_s": tau_p,
            "tau_q_s": tau_q,
            "ramp_up_w_per_s": up * p_w,
            "ramp_down_w_per_s": down * p_w,
            "latency_s": latency,
        },
        "reports_available": reports,
        "profile": name.lower(),
    }


def battery(name: str, at: str, p_w: float, e_wh: float, soc: float, cost: float = 8.0) -> Json:
    """A battery; ``cost`` is per MWh of throughput."""
    out = unit(name, at, "battery", p_w, cost, 0)
    del out["profile"]
    storage = {"e_rated_wh": e_wh, "soc_initial": soc, "soc_min": 0.05, "soc_max": 0.95}
    return out | storage | {"eff_charge": 0.95, "eff_discharge": 0.95}


def network(name: str, source: tuple[str, float, float], **parts: list[Json]) -> Json:
    """A whole network.json; ``source`` is (bus, short-circuit power in VA, R/X)."""
    at, sk_va, rx = source
    head = {"format": "anm-network/1", "name": name, "f_hz": 50.0}
    return head | {"source": {"bus": at, "sk_va": sk_va, "rx_ratio": rx}} | parts
