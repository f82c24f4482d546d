"""The planner of the market through an afternoon of virtual time: one need, one request, one order, one settlement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import market_kit as made
import numpy as np
import pytest
import uftp_kit as kit
from shapeshifter_uftp import uftp

from controller.balancing.admission import Now
from controller.balancing.orders import Use, due
from controller.balancing.uftp.delivery import HANDOVER_S, deliveries
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.planner import Moved, ask_who_is_active, move
from controller.balancing.uftp.rounds import Rounds
from controller.domain.instruction import Action
from controller.domain.market import Timetable
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import Calendar
from controller.planning.projection import LimitOutlook
from controller.planning.schedule import Slot

TIMES = Timetable(offer_s=600.0, lead_s=600.0, again_s=1800.0)
DEADLINE_S = kit.NOON_S + 600.0
CALENDAR = Calendar(kit.DAY.start_utc_s)
SITE = made.site_with(made.market_text())
ACCOUNT = "flexibility:market"


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(SITE, GridModel(SITE.topology))


def look(desk: Desk, layout: Layout, now_s: float, excess_w: float = 0.8e6) -> Moved:
    rules = Rounds(desk, layout, CALENDAR, 200.0)
    return move(desk, rules, TIMES, made.projection(layout.n_w, excess_w), now_s)


def offer_to(request_id: str, number: int, price: float, power_w: int = 800_000) -> uftp.FlexOffer:
    return kit.offer(request_id, number=number, offer_options=[kit.option(power_w=power_w, price=price)])


def test_one_need_is_asked_for_once_and_the_offer_taken_at_the_deadline(tmp_path: Path, layout: Layout) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        first = look(desk, layout, kit.NOON_S)
        (asked,) = first.asked
        assert first.look_again_utc_s == DEADLINE_S
        kit.tell(desk, offer_to(asked[kit.AGR], 2, 30.0))
        assert look(desk, layout, kit.NOON_S + 300.0) == Moved(0.8e6, look_again_utc_s=DEADLINE_S)
        at_deadline = look(desk, layout, DEADLINE_S)
        assert [order.ordered_w for order in at_deadline.orders] == [{53: 8e5, 54: 8e5}]
        assert at_deadline.need_w == 0.0
        later = look(desk, layout, kit.NOON_S + 1900.0)
        assert (later.asked, later.orders) == ([], [])
        assert sum(said.kind == "FlexOrder" for said in memory.waiting()) == 1


def test_a_station_that_was_killed_at_any_step_orders_what_it_would_have_ordered_and_nothing_twice(
    tmp_path: Path, layout: Layout
) -> None:
    """Nothing but what is on the disk is handed from one step to the next."""
    with kit.desk_in(tmp_path) as (desk, _):
        (asked,) = look(desk, layout, kit.NOON_S).asked
    with kit.desk_in(tmp_path) as (desk, _):
        kit.tell(desk, offer_to(asked[kit.AGR], 2, 30.0))
    with kit.desk_in(tmp_path) as (desk, _):
        assert len(look(desk, layout, DEADLINE_S).orders) == 1
    for again_s in (1.0, 300.0, 2000.0):
        with kit.desk_in(tmp_path) as (desk, memory):
            assert look(desk, layout, DEADLINE_S + again_s).orders == []
            assert sum(said.kind == "FlexOrder" for said in memory.waiting()) == 1


def test_what_was_not_taken_gets_its_reason_once(tmp_path: Path, layout: Layout) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        (asked,) = look(desk, layout, kit.NOON_S).asked
        kit.tell(desk, offer_to(asked[kit.AGR], 2, 5000.0))
        (reason,) = look(desk, layout, DEADLINE_S).not_taken.values()
        assert reason.startswith("too dear: would cost 5000.00 EUR")
    with kit.desk_in(tmp_path) as (desk, memory):
        assert look(desk, layout, DEADLINE_S + 60.0).not_taken == {}
        assert [(share, why) for _, _, share, why in memory.choices()] == [(0.0, reason)]


def test_more_is_asked_when_the_need_grows_beyond_what_was_ordered(tmp_path: Path, layout: Layout) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        (asked,) = look(desk, layout, kit.NOON_S).asked
        kit.tell(desk, offer_to(asked[kit.AGR], 2, 30.0))
        look(desk, layout, DEADLINE_S)
        assert look(desk, layout, kit.NOON_S + 1200.0, 1.2e6).asked == []  # too soon after the last
        later = look(desk, layout, kit.NOON_S + 1800.0, 1.2e6)
        assert later.need_w == pytest.approx(0.4e6)
        assert len(later.asked) == 1
        newest = [said.payload.decode() for said in memory.waiting() if said.kind == "FlexRequest"][-1]
        assert 'Revision="2"' in newest
        assert 'MaxPower="400000"' in newest


def test_a_request_that_a_wrong_clock_wrote_holds_nobody_up(tmp_path: Path, layout: Layout) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        year_s = 365 * 86_400.0
        desk.ask(kit.request(), kit.NOON_S + year_s)
        assert len(look(desk, layout, kit.NOON_S).asked) == 1


def slots(*powers_w: float, start_s: float = kit.NOON_S) -> list[Slot]:
    return [Slot(kit.AGR, "O", start_s + 900.0 * k, start_s + 900.0 * (k + 1), w) for k, w in enumerate(powers_w)]


def test_an_order_becomes_a_set_point_of_the_battery_until_its_last_period_ends() -> None:
    found = deliveries(SITE, ACCOUNT, slots(2e5, 2e5), {kit.AGR: 0.0}, kit.NOON_S)
    (order,) = found.orders.values()
    assert (order.subject, order.w, order.until_utc_s) == ("BAT1", 2e5, kit.NOON_S + 1800.0)
    assert deliveries(SITE, ACCOUNT, slots(2e5, 2e5), {kit.AGR: 0.0}, kit.NOON_S + 1800.0).orders == {}
    assert deliveries(SITE, ACCOUNT, slots(2e5, 2e5), {kit.AGR: 0.0}, kit.NOON_S - 1.0).orders == {}


def test_where_another_order_follows_there_is_no_gap() -> None:
    (order,) = deliveries(SITE, ACCOUNT, slots(2e5, -1e5), {kit.AGR: 0.0}, kit.NOON_S).orders.values()
    assert order.until_utc_s == kit.NOON_S + 900.0 + HANDOVER_S


def test_no_set_point_leaves_what_the_unit_can_do() -> None:
    (order,) = deliveries(SITE, ACCOUNT, slots(5e6), {kit.AGR: 0.0}, kit.NOON_S).orders.values()
    assert order.w == next(unit.p_max_w for unit in SITE.units if unit.id == "BAT1")


def test_without_a_baseline_nothing_is_passed_on() -> None:
    found = deliveries(SITE, ACCOUNT, slots(2e5), {kit.AGR: None}, kit.NOON_S)
    assert found.orders == {}
    assert "no D-Prognosis" in found.obstacles[kit.AGR]


def test_who_delivers_itself_is_not_commanded() -> None:
    site = made.site_with(made.market_text(delivery="participant"))
    assert site.market is not None
    assert site.market.desk.subjects == frozenset()
    assert deliveries(site, ACCOUNT, slots(2e5), {kit.AGR: 0.0}, kit.NOON_S).orders == {}


def test_who_delivers_as_needed_is_told_the_most_that_may_be_taken() -> None:
    site = made.site_with(made.market_text(delivery="as_needed"))
    (order,) = deliveries(site, ACCOUNT, slots(2e5), {kit.AGR: 0.0}, kit.NOON_S).orders.values()
    assert (order.subject, order.w, order.use) == ("BAT1", 2e5, Use.CAP)
    assert site.market is not None
    ((_, said),) = due(site.market, {order.key: order}, {}, Now(kit.NOON_S, 0.0), 1)
    assert (said.action, said.value) == (Action.LIMIT, 2e5)


def test_a_generator_that_sold_less_as_needed_is_no_lower_than_before_until_a_limit_needs_it() -> None:
    site = made.site_with(made.market_text(delivery="as_needed", units="[PVB]"))
    assert site.market is not None
    (order,) = deliveries(site, ACCOUNT, slots(2e5), {kit.AGR: -1e6}, kit.NOON_S).orders.values()
    assert (order.subject, order.w, order.use) == ("PVB", 8e5, Use.RESERVE)
    ((_, said),) = due(site.market, {order.key: order}, {}, Now(kit.NOON_S, 0.0), 1)
    assert (said.action, said.value, said.subject) == (Action.RESERVE, 8e5, "PVB")


def test_vehicles_that_waited_and_now_take_more_spread_it_as_agreed() -> None:
    site = made.site_with(made.market_text(delivery="as_needed", units="[EVH1]"))
    (order,) = deliveries(site, ACCOUNT, slots(2e5), {kit.AGR: 1e5}, kit.NOON_S).orders.values()
    assert (order.w, order.use) == (3e5, Use.CAP)
    (less,) = deliveries(site, ACCOUNT, slots(-2e5), {kit.AGR: 5e5}, kit.NOON_S).orders.values()
    assert (less.w, less.use) == (3e5, Use.RESERVE)


def test_who_delivers_as_needed_has_delivered_whatever_was_taken(tmp_path: Path, layout: Layout) -> None:
    market = made.site_with(made.market_text(delivery="as_needed")).market
    assert market is not None
    with kit.desk_in(tmp_path, market.rules) as (desk, memory):
        taken(desk, memory, layout)
        rounds = Rounds(desk, layout, CALENDAR, 200.0)
        (settled,) = rounds.settle(kit.TODAY, made.proof(curtailed_wh=3e5, measured_w=0.0), kit.NOON_S + 14 * 3600.0)
        assert settled.result is not None
        assert (settled.result.paid_eur, settled.result.penalty_eur) == (pytest.approx(30.0), 0.0)


def test_of_a_sold_reduction_what_limits_took_is_delivered_and_being_ready_is_paid(
    tmp_path: Path, layout: Layout
) -> None:
    market = made.site_with(made.market_text(delivery="as_needed", units="[PVB]")).market
    assert market is not None
    with kit.desk_in(tmp_path, market.rules) as (desk, memory):
        taken(desk, memory, layout)
        kit.tell(desk, kit.prognosis(-1_500_000, number=71))
        evening_s = kit.NOON_S + 14 * 3600.0
        proof = made.proof(taken_wh=5e4, measured_w=-1e6)  # 0.2 MW for a quarter hour; the sun gave 0.3 MW less, too
        (settled,) = Rounds(desk, layout, CALENDAR, 200.0).settle(kit.TODAY, proof, evening_s)
    assert settled.result is not None
    assert [(p.ordered_w, p.delivered_w, p.deficiency_w) for p in settled.result.periods] == [(8e5, 2e5, 0.0)] * 2
    assert (settled.result.paid_eur, settled.result.penalty_eur) == (pytest.approx(30.0), 0.0)


@pytest.mark.parametrize(("delivery", "strained_w"), [("controller", 7e5), ("as_needed", -1e5)])
def test_an_order_that_is_used_as_needed_strains_no_other_limit(
    tmp_path: Path, layout: Layout, delivery: str, strained_w: float
) -> None:
    """A limit with 0.1 MW of room that consumption uses up: by 0.8 MW that are delivered, not by what may be taken."""
    market = made.site_with(made.market_text(delivery=delivery)).market
    assert market is not None
    projected = made.projection(layout.n_w)
    room = LimitOutlook("import", "high", np.zeros(8), np.full(8, -1e5), -np.ones(layout.n_w))
    with kit.desk_in(tmp_path, market.rules) as (desk, memory):
        taken(desk, memory, layout)
        left = Rounds(desk, layout, CALENDAR, 200.0).left(replace(projected, limits=(*projected.limits, room)))
    export, strained = left.limits
    assert export.excess_w[3:5] == pytest.approx([0.0, 0.0])
    assert strained.excess_w[3:5] == pytest.approx([strained_w, strained_w])


def taken(desk: Desk, memory: Memory, layout: Layout) -> None:
    """Ordered, and its participant has said to deliver."""
    (asked,) = look(desk, layout, kit.NOON_S).asked
    kit.tell(desk, offer_to(asked[kit.AGR], 2, 30.0))
    look(desk, layout, DEADLINE_S)
    order_id = next(said for said in memory.waiting() if said.kind == "FlexOrder").message_id
    kit.tell(desk, uftp.FlexOrderResponse(**kit.head(number=70), flex_order_message_id=order_id))


def test_a_day_is_settled_once_by_our_own_meter_where_nobody_else_metered(tmp_path: Path, layout: Layout) -> None:
    rules = SITE.market.rules if SITE.market is not None else None
    evening_s = kit.NOON_S + 14 * 3600.0
    with kit.desk_in(tmp_path, rules) as (desk, memory):
        taken(desk, memory, layout)
        rounds = Rounds(desk, layout, CALENDAR, 200.0)
        assert rounds.unsettled(kit.TODAY) == [kit.AGR]
        (unknown,) = rounds.settle(kit.TODAY, made.proof(), evening_s)
        assert unknown.reason == "no metering of ISP 53"
        (settled,) = rounds.settle(kit.TODAY, made.proof(measured_w=0.6e6), evening_s)
        assert settled.result is not None
        assert [period.deficiency_w for period in settled.result.periods] == [0.2e6, 0.2e6]
        assert settled.result.paid_eur == pytest.approx(22.5)
        assert rounds.unsettled(kit.TODAY) == []
        assert rounds.settle(kit.TODAY, made.proof(measured_w=0.6e6), evening_s) == []
        assert sum(said.kind == "FlexSettlement" for said in memory.waiting()) == 1


def test_what_has_room_everywhere_is_no_need(layout: Layout, tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        assert look(desk, layout, kit.NOON_S, -np.inf) == Moved(0.0)
        assert memory.waiting() == []


def test_the_reference_operator_is_asked_every_hour_who_takes_part(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path, kit.market(by_portfolio=True)) as (desk, memory):
        assert len(ask_who_is_active(desk, kit.TODAY, kit.NOON_S)) == 1
        assert ask_who_is_active(desk, kit.TODAY, kit.NOON_S + 3599.0) == []
        assert len(ask_who_is_active(desk, kit.TODAY, kit.NOON_S + 3600.0)) == 1
        assert {said.recipient for said in memory.waiting()} == {kit.CRO}
    with kit.desk_in(tmp_path, kit.market()) as (desk, _):
        assert ask_who_is_active(desk, kit.TODAY, kit.NOON_S + 9000.0) == []
