"""A co-simulated plant of the smallest kind: one transformer, one solar farm, one wind farm; generator convention."""

from __future__ import annotations

import math
from typing import Any

Json = dict[str, Any]
PERIOD_S = 1.0


def network() -> Json:
    """33/11 kV, 5 MVA; 4 MW of wind at A, 3 MW of sun at B, 1 MW of demand at the busbar."""
    actuator = {"latency_s": 0.5, "tau_p_s": 1.0, "tau_q_s": 0.5, "ramp_up_w_per_s": 3e5, "ramp_down_w_per_s": 1e6}
    limits = {"v_min_pu": 0.94, "v_max_pu": 1.06}
    line = {"r_ohm": 0.3, "x_ohm": 0.35, "i_max_a": 400.0}
    der = {"q_max_var": 1e6, "stack_position": 1, "actuator": actuator}
    wind = {"type": "wind", "p_rated_w": 4e6, "s_rated_va": 4.4e6, "cost_eur_per_mwh": 50, **der}
    sun = {"type": "pv", "p_rated_w": 3e6, "s_rated_va": 3.3e6, "cost_eur_per_mwh": 60, **der}
    return {
        "name": "tiny",
        "f_hz": 50.0,
        "source": {"bus": "HV", "sk_va": 400e6, "rx_ratio": 0.1},
        "buses": [
            {"id": "HV", "u_rated_v": 33e3, "v_min_pu": 0.9, "v_max_pu": 1.1},
            *({"id": name, "u_rated_v": 11e3, **limits} for name in ("BB", "A", "B")),
        ],
        "lines": [{"id": "LA", "from": "BB", "to": "A", **line}, {"id": "LB", "from": "BB", "to": "B", **line}],
        "transformers": [
            {
                "id": "T",
                "hv_bus": "HV",
                "lv_bus": "BB",
                "sn_va": 5e6,
                "s_max_va": 5e6,
                "u1_v": 33e3,
                "u2_v": 11e3,
                "uk_pu": 0.08,
                "pk_w": 3e4,
                "i0_pu": 0.002,
                "p0_w": 4e3,
                "tap_pos": 0,
                "tap_min": -8,
                "tap_max": 8,
                "tap_size_pu": 0.0125,
            }
        ],
        "loads": [{"id": "TOWN", "bus": "BB", "p_w": 1e6, "q_var": 2e5}],
        "ders": [{"id": "W", "bus": "A", **wind}, {"id": "S", "bus": "B", **sun}],
    }


def scenario() -> Json:
    """One cycle a second, good meters."""
    sigma = {"sigma_u_rel": 0.0005, "sigma_i_rel": 0.001, "sigma_pq_rel": 0.001, "sigma_der_rel": 0.001}
    return {"control_period_s": PERIOD_S, "measurement": {"latency_s": 0.0, **sigma}}


def reset() -> Json:
    """The first message of a course."""
    return {"type": "reset", "network": network(), "scenario": scenario()}


def measurement(t_s: float = 0.0, **changes: Any) -> Json:
    """A quiet instant: 1 MW of wind, 0.5 MW of sun, told in the exchange's own signs."""
    u_v, flow = 11e3, {"LA": -1e6, "LB": -0.5e6, "T": -0.5e6}
    values: Json = {"bus.HV.u_v": 33e3, **{f"bus.{b}.u_v": u_v + t_s for b in ("BB", "A", "B")}}
    for branch, p_w in flow.items():
        values[f"branch.{branch}.p_w"], values[f"branch.{branch}.q_var"] = p_w + t_s, 0.0 + t_s
        values[f"branch.{branch}.i_a"] = abs(p_w) / (math.sqrt(3.0) * u_v)
    values |= {"interface.p_w": -0.5e6, "interface.q_var": 2e5}
    for der, p_w in (("W", 1e6), ("S", 0.5e6)):
        values |= {f"der.{der}.p_w": p_w + t_s, f"der.{der}.q_var": 0.0, f"der.{der}.p_avail_w": p_w + t_s}
        values[f"der.{der}.soc"] = None
    values |= changes
    return {"type": "measurement", "t_s": t_s, "t_sample_s": t_s, "values": values, "stale_s": {}}
