"""A course prepared for optimising, and what a set of outputs costs in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .course import Array, Json
from .power_flow import Inputs, TrueNetwork


@dataclass(frozen=True, slots=True)
class Problem:
    """A course prepared for optimising; magnitudes per period (rows) and unit (columns)."""

    net: Json
    scenario: Json
    network: TrueNetwork
    exogenous: Inputs  # with zeros for the units
    avail_w: Array
    sign: Array
    is_battery: NDArray[np.bool_]
    dt_s: float
    target_q_var: Array
    tolerance_var: Array
    q_price: Array

    @property
    def n(self) -> int:
        """Periods."""
        return len(self.avail_w)

    def column(self, key: str, default: float = 0.0) -> Array:
        """One number per unit."""
        return np.array([float(d.get(key, default)) for d in self.net["ders"]])


@dataclass(frozen=True, slots=True)
class Point:
    """Outputs of all units over all periods, generator convention."""

    p_w: Array
    q_var: Array


def load_problem(folder: Path) -> Problem:
    """Read a course directory."""
    net, scenario = (json.loads((folder / f"{x}.json").read_text()) for x in ("network", "scenario"))
    truth_file = folder / "truth.json"
    truth = json.loads(truth_file.read_text()) if truth_file.exists() else {}
    table = np.genfromtxt(folder / "series.csv.gz", delimiter=",", names=True)
    dt = float(scenario["series_dt_s"])
    middle = np.arange(0.5 * dt, float(scenario["duration_s"]), dt)
    series = {name: np.interp(middle, table["t_s"], table[name]) for name in table.dtype.names or ()}
    ders, loads = net["ders"], net["loads"]
    nothing = np.zeros(len(middle))
    avail = [d["p_rated_w"] * series[d["profile"]] if d.get("profile") else nothing for d in ders]
    zeros = np.zeros((len(middle), len(ders)))
    p, q = (
        np.stack([x[a] * series[x[b]] for x in loads], 1) for a, b in (("p_w", "profile_p"), ("q_var", "profile_q"))
    )
    target = np.zeros((3, len(middle)))
    for r in scenario.get("q_requests", ()):
        on = (middle >= r["t0_s"]) & (middle < r["t1_s"])
        target[:, on] = np.array([[r["q_var"]], [r["tolerance_var"]], [r["penalty_eur_per_mvarh"]]])
    return Problem(
        net=net,
        scenario=scenario,
        network=TrueNetwork(net, truth),
        exogenous=Inputs(series["u_source_pu"], p, q, zeros, zeros),
        avail_w=np.stack(avail, 1),
        sign=np.array([-1.0 if d["type"] == "flex_load" else 1.0 for d in ders]),
        is_battery=np.array([d["type"] == "battery" for d in ders]),
        dt_s=dt,
        target_q_var=target[0],
        tolerance_var=target[1],
        q_price=target[2],
    )


def voltage_limits(problem: Problem) -> tuple[Array, Array]:
    """Lower and upper limits per bus, pu."""
    low, high = (np.array([b[k] for b in problem.net["buses"]]) for k in ("v_min_pu", "v_max_pu"))
    return low, high


def bill(problem: Problem, point: Point) -> tuple[Json, Array]:
    """What a point costs by the true power flow, counted as the judge does, and its part for broken limits."""
    pr, w, hours = problem, problem.scenario["objective"], problem.dt_s / 3600.0
    room = np.sqrt(np.maximum(pr.column("s_rated_va") ** 2 - point.p_w**2, 0.0))
    q = np.clip(point.q_var, -np.minimum(pr.column("q_max_var"), room), np.minimum(pr.column("q_max_var"), room))
    flow = pr.network.solve(replace(pr.exogenous, p_w=point.p_w, q_var=q))
    loading = np.zeros((pr.n, len(pr.network.s_va)))
    for end, of in enumerate(pr.network.branch):
        loading[:, of] = np.maximum(loading[:, of], np.abs(flow.ends[:, end]))
    low, high = voltage_limits(pr)
    cut = np.where(pr.is_battery, 0.0, pr.avail_w - np.abs(point.p_w)).clip(0.0).sum(axis=0) * hours / 1e6
    cost, size = pr.column("cost_eur_per_mwh"), pr.column("e_rated_wh")
    charge, give = np.maximum(-point.p_w, 0.0).sum(axis=0), np.maximum(point.p_w, 0.0).sum(axis=0)
    lost = (give / pr.column("eff_discharge", 1.0) - charge * pr.column("eff_charge", 1.0)) * hours
    deficit = np.where(pr.is_battery & (size > 0.0), np.maximum(lost, 0.0), 0.0).sum() / 1e6
    miss = np.maximum(np.abs(flow.interface_q_var - pr.target_q_var) - pr.tolerance_var, 0.0)
    out: Json = {
        "redispatch_eur": float((cut * cost).sum()),
        "battery_eur": float((np.where(pr.is_battery, charge + give, 0.0) * cost).sum() * hours / 1e6),
        "soc_deficit_eur": float(deficit * w["soc_deficit_eur_per_mwh"]),
        "q_request_eur": float((miss * pr.q_price).sum() * hours / 1e6),
    }
    over = (np.maximum(loading - 1.0, 0.0) * pr.network.s_va).sum(axis=1) * hours / 1e6 * w["overload_eur_per_mvah"]
    outside = (np.maximum(flow.v_pu - high, 0.0) + np.maximum(low - flow.v_pu, 0.0)).sum(axis=1) * pr.dt_s
    broken = over + outside * w["voltage_eur_per_pu_s"]
    out["cost_eur"] = sum(out.values())
    out["penalty_eur"] = float(broken.sum())
    out["J_eur"] = out["cost_eur"] + out["penalty_eur"]
    names = [d["id"] for d in pr.net["ders"]]
    by_unit = {n: round(float(c), 6) for n, c, b in zip(names, cut, pr.is_battery, strict=True) if not b}
    out |= {
        "curtailed_mwh": float(cut.sum()),
        "available_mwh": float(pr.avail_w.sum() * hours / 1e6),
        "curtailed_by_der_mwh": by_unit,
        "max_loading": float(loading.max()),
        "v_max_pu": float(flow.v_pu.max()),
        "v_min_pu": float(flow.v_pu.min()),
    }
    return out, broken
