"""The co-simulation's border: format, signs, ages, and errors that name the line."""

from __future__ import annotations

import io
import json
import math
from copy import deepcopy
from typing import Any

import cosim_kit as kit
import pytest
from click.testing import CliRunner

from controller.cosim import ExchangeError, cosim, serve, snapshot_of
from controller.cosim_site import site_from_reset
from controller.domain.limit import LimitKind
from controller.domain.unit import UnitKind


def spoken(*messages: Any) -> list[dict[str, Any]]:
    """What is answered to these messages (text as it is, the rest as JSON)."""
    text = "".join((m if isinstance(m, str) else json.dumps(m)) + "\n" for m in messages)
    sink = io.StringIO()
    serve(io.StringIO(text), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_reset_and_end_have_no_answer_and_every_measurement_has_one() -> None:
    answers = spoken(kit.reset(), kit.measurement(0.0), kit.measurement(1.0), {"type": "end"})
    assert len(answers) == 2
    assert all(set(a) == {"setpoints"} for a in answers)


def test_the_first_answer_names_every_unit_and_later_ones_what_changed_or_was_sent_two_seconds_ago() -> None:
    first, *rest = spoken(kit.reset(), *(kit.measurement(float(t)) for t in range(20)))
    assert set(first["setpoints"]) == {"W", "S"}
    said = [sorted(a["setpoints"]) for a in rest[-4:]]
    assert sorted(said[0] + said[1]) == sorted(said[2] + said[3]) == ["S", "W"]
    assert rest[-1]["setpoints"] | rest[-2]["setpoints"] == rest[-3]["setpoints"] | rest[-4]["setpoints"]


def test_set_points_leave_in_generator_convention_and_inside_the_range() -> None:
    (first,) = spoken(kit.reset(), kit.measurement())
    for der, rated_w in (("W", 4e6), ("S", 3e6)):
        assert set(first["setpoints"][der]) == {"p_w", "q_var"}
        assert 0.0 <= first["setpoints"][der]["p_w"] <= rated_w


def test_nothing_after_the_end_is_read() -> None:
    assert spoken(kit.reset(), {"type": "end"}, "this is not JSON") == []


def test_empty_lines_are_passed_over() -> None:
    assert len(spoken(kit.reset(), "", "   ", kit.measurement())) == 1


def test_a_second_reset_starts_from_nothing() -> None:
    answers = spoken(kit.reset(), kit.measurement(0.0), kit.reset(), kit.measurement(0.0))
    assert answers[0] == answers[1]


def test_units_are_flipped_on_the_way_in_and_the_network_is_not() -> None:
    points = snapshot_of(kit.measurement()).points
    assert points["unit.W.p_w"].value == -1e6
    assert points["unit.W.p_avail_w"].value == -1e6
    assert points["branch.LA.p_w"].value == -1e6
    assert points["interface.p_w"].value == -0.5e6


def test_reactive_power_that_a_unit_injects_is_negative_inside() -> None:
    points = snapshot_of(kit.measurement(**{"der.W.q_var": 3e5})).points
    assert points["unit.W.q_var"].value == -3e5


def test_a_state_of_charge_is_not_flipped() -> None:
    assert snapshot_of(kit.measurement(**{"der.W.soc": 0.4})).points["unit.W.soc_frac"].value == 0.4


def test_null_is_missing_and_not_zero() -> None:
    points = snapshot_of(kit.measurement(**{"branch.T.p_w": None})).points
    assert "branch.T.p_w" not in points
    assert "unit.W.soc_frac" not in points


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_value_that_is_no_number_is_missing(value: float) -> None:
    assert "branch.T.p_w" not in snapshot_of(kit.measurement(**{"branch.T.p_w": value})).points


def test_the_age_of_a_stale_point_counts_from_now_and_the_others_from_the_sample() -> None:
    message = {**kit.measurement(20.0), "t_sample_s": 19.5, "stale_s": {"branch.T.p_w": 7.0}}
    points = snapshot_of(message).points
    assert points["branch.T.p_w"].measured_at_s == 13.0
    assert points["branch.T.q_var"].measured_at_s == 19.5
    assert points["branch.T.q_var"].received_at_s == 20.0


def test_a_missing_list_of_stale_points_means_that_there_are_none() -> None:
    message = kit.measurement(5.0)
    del message["stale_s"]
    assert snapshot_of(message).points["branch.T.p_w"].measured_at_s == 5.0


def test_an_id_with_dots_keeps_them() -> None:
    points = snapshot_of(kit.measurement(**{"der.park.7.p_w": 5.0})).points
    assert points["unit.park.7.p_w"].value == -5.0


BROKEN = [
    ("not JSON at all", "Expecting value"),
    ('{"type": "measurement"', "Expecting"),
    ({"type": "dance"}, "'dance'"),
    ({}, "None"),
    ([1, 2], "[1, 2]; expected an object"),
    ("7", "7; expected an object"),
    ({"type": "measurement", "t_s": 0.0}, "t_sample_s"),
    ({"type": "measurement", "t_s": math.nan, "t_sample_s": 0.0, "values": {}}, "t_s is nan"),
    ({"type": "measurement", "t_s": 0.0, "t_sample_s": 0.0, "values": [1.0]}, "objects that name points"),
    ({"type": "measurement", "t_s": 0.0, "t_sample_s": 0.0, "values": {"bus.BB.u_v": True}}, "True"),
    ("[" * 100_000, "RecursionError"),
    ({"type": "measurement", "t_s": "noon", "t_sample_s": 0.0, "values": {}}, "noon"),
    (
        {"type": "measurement", "t_s": 0.0, "t_sample_s": 0.0, "values": {"bus.BB.u_v": "high"}},
        "values.bus.BB.u_v is 'high'",
    ),
]


@pytest.mark.parametrize(("message", "said"), BROKEN)
def test_a_message_that_cannot_be_understood_is_named_by_its_line(message: Any, said: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        spoken(kit.reset(), message)
    assert said in str(caught.value)
    assert str(caught.value).startswith("line 2: ")


def test_a_measurement_before_the_reset_is_refused() -> None:
    with pytest.raises(ExchangeError, match="line 1: measurement before reset"):
        spoken(kit.measurement())


def test_an_unknown_kind_of_unit_is_refused_with_its_name_and_the_known_ones() -> None:
    broken = deepcopy(kit.reset())
    broken["network"]["ders"][0]["type"] = "perpetuum mobile"
    with pytest.raises(ExchangeError, match=r"line 1.*ders\[W\].*perpetuum mobile.*battery"):
        spoken(broken)


@pytest.mark.parametrize("path", [("network", "source"), ("network", "ders"), ("scenario", "control_period_s")])
def test_a_reset_without_what_is_needed_says_what(path: tuple[str, str]) -> None:
    broken = deepcopy(kit.reset())
    del broken[path[0]][path[1]]
    with pytest.raises(ExchangeError, match=f"line 1.*{path[1]}"):
        spoken(broken)


def test_the_command_keeps_standard_output_for_json_and_complains_on_standard_error() -> None:
    text = "".join(json.dumps(m) + "\n" for m in (kit.reset(), kit.measurement())) + "nonsense\n"
    result = CliRunner().invoke(cosim, [], input=text)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    assert set(json.loads(lines[0])) == {"setpoints"}
    assert "line 3" in result.stderr


def test_bytes_that_are_no_text_are_complained_about_too() -> None:
    result = CliRunner().invoke(cosim, [], input=json.dumps(kit.reset()).encode() + b"\n\xff\xfe\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "decode" in result.stderr


def test_the_end_of_the_input_ends_the_command_well() -> None:
    result = CliRunner().invoke(cosim, [], input=json.dumps(kit.reset()) + "\n")
    assert (result.exit_code, result.stdout) == (0, "")


def test_answers_never_hold_what_json_does_not_know() -> None:
    values = dict.fromkeys(kit.measurement()["values"])
    for answer in spoken(kit.reset(), {**kit.measurement(), "values": values}, kit.measurement(1.0)):
        json.loads(json.dumps(answer, allow_nan=False))


def test_the_site_of_a_reset_has_ranges_in_load_convention() -> None:
    message = kit.reset()
    actuator = message["network"]["ders"][0]["actuator"]
    message["network"]["ders"] += [
        {"id": "C", "bus": "BB", "type": "flex_load", "p_rated_w": 2e5, "s_rated_va": 2e5, "cost_eur_per_mwh": 90}
        | {"actuator": actuator},
        {"id": "X", "bus": "BB", "type": "battery", "p_rated_w": 5e5, "s_rated_va": 5e5, "cost_eur_per_mwh": 8}
        | {"actuator": actuator, "e_rated_wh": 1e6, "soc_initial": 0.3},
    ]
    site = site_from_reset(message["network"], message["scenario"])
    ranges = {u.id: (u.kind, u.p_min_w, u.p_max_w) for u in site.units}
    assert ranges["W"] == (UnitKind.WIND, -4e6, 0.0)
    assert ranges["C"] == (UnitKind.FLEX_LOAD, 0.0, 2e5)
    assert ranges["X"] == (UnitKind.BATTERY, -5e5, 5e5)
    assert site.units[3].storage is not None
    assert site.units[3].storage.soc_initial_frac == 0.3


def test_every_branch_and_bus_of_a_reset_has_its_limit() -> None:
    site = site_from_reset(kit.network(), kit.scenario())
    thermal = {x.element: x.high for x in site.limits if x.kind is LimitKind.THERMAL}
    assert thermal == {"LA": 400.0, "LB": 400.0, "T": pytest.approx(5e6 / (math.sqrt(3.0) * 11e3))}
    voltage = {x.element: (x.low, x.high) for x in site.limits if x.kind is LimitKind.VOLTAGE}
    assert voltage["BB"] == pytest.approx((0.94 * 11e3, 1.06 * 11e3))
    assert len(voltage) == 4


def test_a_transmission_operators_wish_is_taken_over() -> None:
    wish = {"t0_s": 10, "t1_s": 20, "q_var": 3e5, "tolerance_var": 1e4, "penalty_eur_per_mvarh": 40}
    site = site_from_reset(kit.network(), {**kit.scenario(), "q_requests": [wish], "duration_s": 60})
    assert site.reactive_requests[0].q_var == 3e5
    assert site.horizon_s == 60.0


def test_what_a_plant_says_it_does_not_measure_is_not_expected_from_it() -> None:
    net = kit.network()
    net["lines"][0]["measured"] = False
    feeds = site_from_reset(net, kit.scenario()).devices[0].feeds
    assert "branch.LA.p_w" not in feeds
    assert "branch.LB.p_w" in feeds
