"""AC power flow of a course's true network, for many instants at once, and its sensitivities to the units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from power_grid_model import LoadGenType, PowerGridModel, initialize_array

from .course import Array, Json

Complex = NDArray[np.complex128]
SQ3 = math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What drives the network: source voltage, loads and units; instants in rows. Units count as generators."""

    u_source_pu: Array
    load_p_w: Array
    load_q_var: Array
    p_w: Array
    q_var: Array


@dataclass(frozen=True, slots=True)
class Flow:
    """Solved network, instants in rows. ``ends`` are branch currents as shares of the limit, per measured end.

    Lines have both ends (from, then to), transformers the low-voltage one. ``interface_q_var`` is import.
    """

    v_pu: Array
    ends: Complex
    interface_q_var: Array


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Derivatives per W and var of every unit; last axis: all p, then all q."""

    v_pu: Array
    ends: Complex
    interface_q_var: Array


class TrueNetwork:
    """The plant's network: nominal data times the scales of truth.json."""

    def __init__(self, net: Json, truth: Json) -> None:
        self._at = {b["id"]: k for k, b in enumerate(net["buses"])}
        self._u_rated = np.array([b["u_rated_v"] for b in net["buses"]])
        self._branches(net, truth)
        parts = {"node": self._nodes(net), "transformer": self._transformer, "source": self._source(net)}
        if net["lines"]:
            parts["line"] = self._line
        parts["sym_load"], parts["sym_gen"] = (
            self._injections("load", net["loads"], 2000),
            self._injections("gen", net["ders"], 3000),
        )
        self._model = PowerGridModel(parts)
        self._ids = {k: parts[k]["id"] for k in ("source", "sym_load", "sym_gen")}
        self.branch = [*range(len(net["lines"]))] * 2 + [len(net["lines"]) + k for k in range(len(net["transformers"]))]
        self.s_va = np.array(
            [SQ3 * x["i_max_a"] * self._u_rated[self._at[x["from"]]] for x in net["lines"]]
            + [t["s_max_va"] for t in net["transformers"]]
        )

    def _nodes(self, net: Json) -> Any:
        node = initialize_array("input", "node", len(net["buses"]))
        node["id"], node["u_rated"] = np.arange(len(net["buses"])), self._u_rated
        return node

    def _branches(self, net: Json, truth: Json) -> None:
        lines, transformers = net["lines"], net["transformers"]
        scale = [truth.get("line_scale", {}).get(x["id"], (1.0, 1.0)) for x in lines]
        line = initialize_array("input", "line", len(lines))
        line["id"], line["from_status"], line["to_status"], line["tan1"] = 1000 + np.arange(len(lines)), 1, 1, 0.0
        line["from_node"], line["to_node"] = [self._at[x["from"]] for x in lines], [self._at[x["to"]] for x in lines]
        line["r1"] = [x["r_ohm"] * s[0] for x, s in zip(lines, scale, strict=True)]
        line["x1"] = [x["x_ohm"] * s[1] for x, s in zip(lines, scale, strict=True)]
        line["c1"] = [x["b_s"] / (2.0 * math.pi * net["f_hz"]) for x in lines]
        line["i_n"] = [x["i_max_a"] for x in lines]
        tf = initialize_array("input", "transformer", len(transformers))
        tf["id"], tf["from_status"], tf["to_status"] = 1500 + np.arange(len(transformers)), 1, 1
        tf["from_node"] = [self._at[x["hv_bus"]] for x in transformers]
        tf["to_node"] = [self._at[x["lv_bus"]] for x in transformers]
        names = {"u1": "u1_v", "u2": "u2_v", "sn": "sn_va", "pk": "pk_w", "i0": "i0_pu", "p0": "p0_w"}
        for ours, theirs in (names | {k: k for k in ("tap_pos", "tap_min", "tap_max")}).items():
            tf[ours] = [x[theirs] for x in transformers]
        uk_scale = truth.get("transformer_uk_scale", {})
        tf["uk"] = [x["uk_pu"] * uk_scale.get(x["id"], 1.0) for x in transformers]
        tf["tap_size"] = [x["tap_size_pu"] * x["u1_v"] for x in transformers]
        tf["winding_from"] = tf["winding_to"] = 1
        tf["clock"] = tf["tap_side"] = tf["tap_nom"] = 0
        self._line, self._transformer = line, tf
        self._from, self._to, self._lv = line["from_node"], line["to_node"], tf["to_node"]
        self._i_max = np.array([x["i_max_a"] for x in lines])
        self._i_max_t = np.array([x["s_max_va"] / SQ3 / x["u2_v"] for x in transformers])

    def _source(self, net: Json) -> Any:
        source = initialize_array("input", "source", 1)
        source["id"], source["node"], source["status"], source["u_ref"] = 1900, self._at[net["source"]["bus"]], 1, 1.0
        source["sk"], source["rx_ratio"] = net["source"]["sk_va"], net["source"]["rx_ratio"]
        return source

    def _injections(self, kind: str, items: list[Json], first_id: int) -> Any:
        out = initialize_array("input", f"sym_{kind}", len(items))
        out["id"], out["node"], out["status"] = first_id + np.arange(len(items)), [self._at[x["bus"]] for x in items], 1
        out["type"], out["p_specified"], out["q_specified"] = LoadGenType.const_power, 0.0, 0.0
        return out

    def _update(self, kind: str, n: int, p: Array, q: Array) -> Any:
        out = initialize_array("update", kind, (n, len(self._ids[kind])))
        out["id"], out["p_specified"], out["q_specified"] = self._ids[kind], p, q
        return out

    def solve(self, x: Inputs) -> Flow:
        """Power flow of every instant."""
        n = len(x.u_source_pu)
        source = initialize_array("update", "source", (n, 1))
        source["id"], source["u_ref"] = self._ids["source"], x.u_source_pu[:, None]
        load, gen = self._update("sym_load", n, x.load_p_w, x.load_q_var), self._update("sym_gen", n, x.p_w, x.q_var)
        parts = ["node", "transformer"] + (["line"] if len(self._i_max) else [])
        out: Any = self._model.calculate_power_flow(
            update_data={"source": source, "sym_load": load, "sym_gen": gen}, output_component_types=parts
        )
        u = out["node"]["u"] * np.exp(1j * out["node"]["u_angle"])
        ends = [_current(out["transformer"], "to", u[:, self._lv]) / self._i_max_t]
        if len(self._i_max):
            both = (("from", self._from), ("to", self._to))
            ends = [_current(out["line"], end, u[:, at]) / self._i_max for end, at in both] + ends
        return Flow(out["node"]["u_pu"], np.concatenate(ends, axis=1), out["transformer"]["q_from"].sum(axis=1))

    def sensitivity(self, x: Inputs, base: Flow, step_w: Array) -> Sensitivity:
        """Forward differences with a step per unit."""
        n_unit = len(step_w)
        v, ends, q_if = [], [], []
        for k in range(2 * n_unit):
            delta = np.zeros(n_unit)
            delta[k % n_unit] = step_w[k % n_unit]
            p, q = (x.p_w + delta, x.q_var) if k < n_unit else (x.p_w, x.q_var + delta)
            moved = self.solve(Inputs(x.u_source_pu, x.load_p_w, x.load_q_var, p, q))
            h = step_w[k % n_unit]
            v.append((moved.v_pu - base.v_pu) / h)
            ends.append((moved.ends - base.ends) / h)
            q_if.append((moved.interface_q_var - base.interface_q_var) / h)
        return Sensitivity(np.stack(v, -1), np.stack(ends, -1), np.stack(q_if, -1))


def _current(out: Any, end: str, u: Complex) -> Complex:
    """Complex current into the branch at one end, A."""
    return np.asarray(np.conj((out[f"p_{end}"] + 1j * out[f"q_{end}"]) / (SQ3 * u)))
