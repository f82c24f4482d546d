"""An activation is read strictly, judged by its bid, and shared over the units that can deliver it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "planning"))

import core_planning_kit as kit

from controller.balancing.national.activation import (
    LISTED_MAX,
    Activation,
    Period,
    Sold,
    read_activation,
    read_list,
    refusal,
)
from controller.balancing.national.before import BEFORE_S, RECORDS_MAX, Before
from controller.balancing.national.settling import dump_plan, is_measured, load_plan, settle
from controller.balancing.national.sharing import plan_of, to_command
from controller.balancing.openadr.strict_json import Malformed

S = 1.8e9
Q = 900.0
SOLD = Sold("b1", S, S + 6 * Q, 3e5, 4e5, 40.0, ("SUN_A", "SUN_B", "BAT"))
ENTRY: dict[str, Any] = {
    "id": "a1",
    "counter": 7,
    "issued_utc_s": S - 60.0,
    "expires_utc_s": S + 300.0,
    "direction": "up",
    "periods": [
        {"from_utc_s": S, "until_utc_s": S + Q, "w": 1e5},
        {"from_utc_s": S + Q, "until_utc_s": S + 3 * Q, "w": 2e5},
    ],
}
SITE = kit.seller()


def period(**changes: Any) -> dict[str, Any]:
    return {**ENTRY, "periods": [{**ENTRY["periods"][0], **changes}]}


def up(*w: float) -> Activation:
    return Activation(
        "a1", 7, S - 60.0, S + 300.0, tuple(Period(S + k * Q, S + (k + 1) * Q, -x) for k, x in enumerate(w))
    )


def test_up_is_less_consumption_in_the_house_s_sign() -> None:
    asked = read_activation(ENTRY)
    assert [p.change_w for p in asked.periods] == [-1e5, -2e5]
    assert (asked.begins_utc_s, asked.ends_utc_s) == (S, S + 3 * Q)
    assert read_activation({**ENTRY, "direction": "down"}).periods[0].change_w == 1e5


@pytest.mark.parametrize(
    "entry",
    [
        {**ENTRY, "more": 1},
        {key: value for key, value in ENTRY.items() if key != "expires_utc_s"},
        {**ENTRY, "id": ""},
        {**ENTRY, "id": "a/../b"},
        {**ENTRY, "id": 7},
        {**ENTRY, "counter": True},
        {**ENTRY, "counter": 7.0},
        {**ENTRY, "counter": -1},
        {**ENTRY, "counter": 1 << 60},
        {**ENTRY, "direction": "sideways"},
        {**ENTRY, "issued_utc_s": float("nan")},
        {**ENTRY, "expires_utc_s": "soon"},
        {**ENTRY, "periods": []},
        {**ENTRY, "periods": [{}] * 200},
        {**ENTRY, "periods": [7]},
        period(w=0.0),
        period(w=-1e5),
        period(w=float("inf")),
        period(w="1e5"),
        period(from_utc_s=S + 1.0),
        period(until_utc_s=S + 1.0),
        period(until_utc_s=S),
        period(note="hello"),
    ],
)
def test_what_is_not_exactly_an_activation_is_malformed_whole(entry: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_activation(entry)


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"id": "b2", "activations": []}, {"id": "b1"}, {"id": "b1", "activations": [1]},
     {"id": "b1", "activations": [{}] * (LISTED_MAX + 1)}],
)  # fmt: skip
def test_a_list_that_is_not_about_the_bid_is_none(document: Any) -> None:
    with pytest.raises(Malformed):
        read_list(document, "b1")
    assert read_list({"id": "b1", "activations": [ENTRY]}, "b1") == [ENTRY]


@pytest.mark.parametrize(
    ("asked", "now_utc_s", "word"),
    [
        (up(3e5), S, ""),
        (up(3e5 + 1.0), S, "out of range: 300001 W"),
        (up(1e5), S + 300.0, "expired"),
        (replace(up(1e5), expires_utc_s=S + 1e6), S + Q, "stale"),
        (up(*[1e5] * 7), S, "beyond the window"),
        (replace(up(1e5), periods=(Period(S - Q, S, -1e5),)), S - Q, "beyond the window"),
        (replace(up(1e5), periods=(Period(S, S + 2 * Q, -1e5), Period(S + Q, S + 3 * Q, -1e5))), S, "contradictory"),
        (up(1e5), float("nan"), "expired"),
    ],
)
def test_the_bid_says_what_may_be_activated(asked: Activation, now_utc_s: float, word: str) -> None:
    found = refusal(asked, SOLD, now_utc_s)
    assert word in found
    assert bool(word) == bool(found)


def test_the_units_share_by_what_each_can_keep_up() -> None:
    """Farms that give all they can have nothing to add upward: the battery gives it all."""
    before = {"SUN_A": -1e6, "SUN_B": -1e6, "BAT": 1e5}
    plan = plan_of(SITE, kit.seller_record(), up(2e5, 1e5), SOLD, before, {})
    assert plan.reason == ""
    assert plan.taken_w == (-2e5, -1e5)
    assert plan.p_w == {"BAT": (-1e5, 0.0)}
    down = read_activation({**ENTRY, "direction": "down"})
    shared = plan_of(SITE, kit.seller_record(), down, SOLD, before, {})
    assert set(shared.p_w) == {"SUN_A", "SUN_B", "BAT"}
    total = [sum(shared.p_w[u][k] - before[u] for u in before) for k in (0, 1)]
    assert total == pytest.approx([1e5, 2e5])


def test_what_a_local_service_has_is_not_touched_and_the_answer_says_so() -> None:
    before = {"SUN_A": -1e6, "SUN_B": -1e6, "BAT": 0.0}
    plan = plan_of(SITE, kit.seller_record(), up(2e5), SOLD, before, {"BAT": "order o1 of agr.example.com"})
    assert plan.p_w == {}
    assert plan.reason.startswith("nothing can be delivered")
    assert "BAT serves order o1 of agr.example.com" in plan.reason
    down = read_activation({**ENTRY, "direction": "down"})
    rest = plan_of(SITE, kit.seller_record(), down, SOLD, before, {"SUN_A": "order o1 of agr.example.com"})
    assert set(rest.p_w) == {"SUN_B", "BAT"}
    assert rest.reason == ""


def test_a_battery_takes_no_more_than_its_content_keeps_up_to_the_end() -> None:
    before = {"BAT": 0.0}
    nearly_empty = kit.seller_record(soc_frac=0.1)
    plan = plan_of(SITE, nearly_empty, up(3e5, 3e5), SOLD, before, {})
    storage = SITE.units[2].storage
    assert storage is not None
    lasting_w = (0.1 - storage.soc_min_frac) * storage.e_rated_wh * storage.eff_discharge_frac / 0.5
    assert plan.taken_w == pytest.approx((-lasting_w, -lasting_w))
    assert plan.reason.startswith(f"{lasting_w / 1e3:.0f} of 300 kW can be kept up")


@pytest.mark.parametrize("state", [{"status": "lost"}, {"status": "deaf"}, {"soc_frac": None}])
def test_who_cannot_be_counted_on_gives_nothing(state: dict[str, Any]) -> None:
    plan = plan_of(SITE, kit.seller_record(**state), up(1e5), SOLD, {"BAT": 0.0}, {})
    assert (plan.p_w, plan.taken_w) == ({}, ())


def test_the_plan_becomes_one_leased_command_that_ends_with_the_last_period() -> None:
    plan = plan_of(SITE, kit.seller_record(), up(2e5, 2e5, 1e5), SOLD, {"BAT": 0.0}, {})
    command = to_command(up(2e5, 2e5, 1e5), plan, "tso:national")
    (part,) = command.parts
    assert [(s.start_utc_s - S, s.end_utc_s - S, s.w) for s in part.steps] == [
        (0.0, 2 * Q, -2e5),
        (2 * Q, 3 * Q, -1e5),
    ]
    assert command.expires_utc_s == S + 3 * Q
    again = to_command(up(2e5, 2e5, 1e5), load_plan(dump_plan(plan)), "tso:national")
    assert again == command


def test_before_is_the_mean_of_the_last_minutes_and_of_what_was_said_only() -> None:
    before = Before(frozenset({"A", "B"}))
    for at_s, a_w in ((0.0, 9e9), (400.0, 1e3), (500.0, 3e3)):
        before.add({"units": [{"id": "A", "p_w": a_w}, {"id": "B", "p_w": None}, {"id": "C", "p_w": 1.0}]}, at_s)
    assert before.means_w(600.0) == {"A": 2e3}
    assert before.means_w(500.0 + 2 * BEFORE_S) == {}
    for k in range(RECORDS_MAX + 10):
        before.add({"units": [{"id": "A", "p_w": float("nan")}]}, 600.0 + 1e-3 * k)
    assert before.means_w(610.0) == {}


def test_settlement_counts_what_was_delivered_of_each_period_and_never_more() -> None:
    asked = up(2e5, 2e5, 2e5)
    plan = plan_of(SITE, kit.seller_record(), asked, SOLD, {"BAT": 5e4}, {})
    measured = {S: -1.5e5, S + Q: -5e4, S + 2 * Q: -5e5}
    settled = settle(asked, plan, SOLD, 1.5, lambda *at: measured[at[1]])
    assert [p.delivered_w for p in settled.periods] == [-2e5, -1e5, -2e5]
    assert [p.deficiency_w for p in settled.periods] == [0.0, 1e5, 0.0]
    assert settled.paid_eur == pytest.approx(40.0 * 0.5 * 0.25)  # 0.5 MW for a quarter of an hour
    assert settled.penalty_eur == pytest.approx(1.5 * 40.0 * 0.1 * 0.25)


def test_what_nobody_measured_was_not_delivered() -> None:
    asked = up(2e5)
    plan = plan_of(SITE, kit.seller_record(), asked, SOLD, {"BAT": 5e4}, {})
    assert not is_measured(asked, plan, lambda *_: None)
    settled = settle(asked, plan, SOLD, 1.0, lambda *_: None)
    assert (settled.paid_eur, settled.periods[0].deficiency_w) == (0.0, 2e5)
