"""What a reset may describe: odd sites are controlled, impossible ones refused by name before the first cycle."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import cosim_kit as kit
import pytest

from controller.cosim import ExchangeError, Session, serve
from controller.cosim_check import check_reset

Json = dict[str, Any]
Change = Callable[[Json], object]


def changed(change: Change) -> Json:
    message: Json = json.loads(json.dumps(kit.reset()))
    change(message)
    return message


def source_bus_alone(message: Json) -> None:
    network = message["network"]
    network |= {"buses": network["buses"][:1], "lines": [], "transformers": [], "loads": []}
    for der in network["ders"]:
        der["bus"] = "HV"


def units(message: Json) -> list[Json]:
    found: list[Json] = message["network"]["ders"]
    return found


ODD: dict[str, Change] = {
    "nobody to control": lambda m: units(m).clear(),
    "one bus and nothing else": lambda m: (source_bus_alone(m), units(m).clear()),
    "units at the source's bus alone": source_bus_alone,
    "no lines": lambda m: (m["network"].update(lines=[], buses=m["network"]["buses"][:2]), units(m)[0].update(bus="BB"),
                           units(m).pop()),
    "a unit rated at nothing": lambda m: units(m)[0].update(p_rated_w=0, s_rated_va=0, q_max_var=0),
    "an actuator that never moves": lambda m: units(m)[0]["actuator"].update(ramp_up_w_per_s=0, ramp_down_w_per_s=0),
    "an actuator that does not lag": lambda m: units(m)[0]["actuator"].update(latency_s=0, tau_p_s=0, tau_q_s=0),
    "a price below zero": lambda m: units(m)[0].update(cost_eur_per_mwh=-20),
    "whole numbers": lambda m: units(m)[0].update(p_rated_w=4000000, stack_position=1.0),
    "an id with a blank, a dot and an umlaut": lambda m: units(m)[0].update(id="Süd 1.a"),
    "nothing said about meters": lambda m: m.update(scenario={"control_period_s": 1}),
    "two lines side by side": lambda m: m["network"]["lines"].append(m["network"]["lines"][0] | {"id": "LA2"}),
    "a ring": lambda m: m["network"]["lines"].append(m["network"]["lines"][0] | {"id": "LR", "from": "A", "to": "B"}),
    "a line told from its far end": lambda m: m["network"]["lines"][0].update({"from": "A", "to": "BB"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_site_is_controlled(name: str) -> None:
    message, session = changed(ODD[name]), Session()
    session.handle(message)
    answers = [session.handle(kit.measurement(float(t))) for t in range(3)]
    said = [x for answer in answers if answer for s in answer["setpoints"].values() for x in s.values()]
    assert all(math.isfinite(x) for x in said)
    assert {u for answer in answers if answer for u in answer["setpoints"]} == {d["id"] for d in units(message)}


def line(message: Json) -> Json:
    found: Json = message["network"]["lines"][0]
    return found


def transformer(message: Json) -> Json:
    found: Json = message["network"]["transformers"][0]
    return found


IMPOSSIBLE: list[tuple[Change, str]] = [
    (lambda m: m.update(network=[]), "network is []; expected an object"),
    (lambda m: m["network"].pop("ders"), "network.ders is missing; expected a list of objects"),
    (lambda m: m["network"].update(lines=[7]), "network.lines is [7]; expected a list of objects"),
    (lambda m: m["network"]["source"].update(bus="X"), "network.source.bus is 'X'; expected the id of a bus"),
    (lambda m: m["network"]["source"].update(sk_va=0), "network.source.sk_va is 0; expected a number above 0"),
    (lambda m: m["network"]["buses"][1].update(v_min_pu=1.2), "buses[1].v_min_pu is 1.2; expected less than v_max_pu"),
    (lambda m: line(m).update(to="X"), "network.lines[0].to is 'X'; expected the id of a bus"),
    (lambda m: line(m).update(i_max_a=0), "network.lines[0].i_max_a is 0; expected a number above 0"),
    (lambda m: line(m).update(r_ohm=0, x_ohm=0), "network.lines[0] has no impedance"),
    (lambda m: line(m).update(to="A", id="T"), "network.transformers[0].id is 'T'; expected an id that is not used"),
    (lambda m: m["network"]["lines"].pop(), "'B'; expected a bus that branches connect to the source"),
    (lambda m: transformer(m).update(sn_va=0), "network.transformers[0].sn_va is 0; expected a number above 0"),
    (lambda m: transformer(m).update(pk_w=1e6), "pk_w is 1000000.0; expected at most uk_pu × sn_va (400000 W)"),
    (lambda m: transformer(m).update(tap_pos=0.5), "tap_pos is 0.5; expected a whole number"),
    (lambda m: units(m)[1].update(id="W"), "network.ders[1].id is 'W'; expected an id that is not used before"),
    (lambda m: units(m)[0].update(p_rated_w=-1.0), "network.ders[0].p_rated_w is -1.0; expected a number of at least"),
    (lambda m: units(m)[0].update(p_rated_w="4 MW"), "network.ders[0].p_rated_w is '4 MW'; expected a number"),
    (lambda m: units(m)[0].update(s_rated_va=True), "network.ders[0].s_rated_va is True; expected a number"),
    (lambda m: units(m)[0].update(p_rated_w=math.nan), "network.ders[0].p_rated_w is nan; expected a number"),
    (lambda m: units(m)[0].update(p_rated_w=10**400), "network.ders[0].p_rated_w is 1000"),
    (lambda m: units(m)[0]["actuator"].pop("tau_p_s"), "network.ders[0].actuator.tau_p_s is missing"),
    (lambda m: units(m)[0].pop("actuator"), "network.ders[0].actuator is missing; expected an object"),
    (lambda m: units(m)[0].update(type="battery"), "network.ders[0].e_rated_wh is missing; expected a number above 0"),
    (lambda m: units(m)[0].update(type="battery", e_rated_wh=1, soc_initial=5), "soc_initial is 5; expected"),
    (lambda m: m.pop("scenario"), "scenario is missing; expected an object"),
    (lambda m: m["scenario"].update(control_period_s=0), "scenario.control_period_s is 0; expected a number above 0"),
    (lambda m: m["scenario"]["measurement"].update(sigma_i_rel=-1), "scenario.measurement.sigma_i_rel is -1"),
    (lambda m: m["scenario"].update(q_requests=[{"t0_s": 0}]), "scenario.q_requests[0].t1_s is missing"),
]


@pytest.mark.parametrize(("change", "said"), IMPOSSIBLE, ids=[said for _, said in IMPOSSIBLE])
def test_an_impossible_site_is_refused_with_place_value_and_expectation(change: Change, said: str) -> None:
    message = changed(change)
    with pytest.raises(ValueError, match="expected") as caught:
        check_reset(message.get("network"), message.get("scenario"))
    assert said in str(caught.value)


def test_all_faults_of_a_site_are_told_at_once_and_a_flood_is_counted() -> None:
    message = changed(lambda m: units(m)[0].update(dict.fromkeys(("p_rated_w", "s_rated_va", "q_max_var"), -1)))
    with pytest.raises(ValueError, match=r"ders\[0\]\.p_rated_w.*ders\[0\]\.s_rated_va.*ders\[0\]\.q_max_var"):
        check_reset(message["network"], message["scenario"])
    with pytest.raises(ValueError, match=r"; and 205 more$"):
        check_reset(message["network"] | {"buses": [{"id": ""}] * 50}, message["scenario"])


def test_a_network_that_no_power_flow_can_solve_is_refused_by_the_line_of_its_message() -> None:
    message = changed(lambda m: m["network"]["buses"][2].update(u_rated_v=20e3))
    with pytest.raises(ExchangeError, match=r"line 1: PowerFlowError: Conflicting voltage"):
        serve(iter([json.dumps(message)]), None)  # type: ignore[arg-type]
