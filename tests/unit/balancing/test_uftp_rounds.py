"""A day on the market at one site: need, request, offers, the cheapest order, a newcomer at noon, settlement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import market_kit as made
import numpy as np
import pytest
import uftp_kit as kit
from shapeshifter_uftp import uftp

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.rounds import Rounds
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import QUARTER_S, Calendar
from controller.planning.projection import LimitOutlook, Projection
from controller.planning.schedule import in_force

CALENDAR = Calendar(kit.DAY.start_utc_s)
FIRST = kit.NOON_ISP  # quarter 49 begins at a quarter past noon
EXCESS_W = np.array([-1e6] * 3 + [0.8e6, 0.8e6] + [-1e6] * 3)  # ISPs 50…57: 53 and 54 are too much


@pytest.fixture(scope="module")
def layout() -> Layout:
    site = load_site(find_site("demo_primary"))
    return Layout(site, GridModel(site.topology))


def projection(layout: Layout) -> Projection:
    """Too much export for half an hour; every bus helps watt by watt."""
    relief = np.ones(layout.n_w)
    export = LimitOutlook("export", "high", (EXCESS_W > 0.0).astype(float), EXCESS_W, relief)
    return Projection(FIRST, (export, LimitOutlook("import", "high", 0.0 * EXCESS_W, 0.0 * EXCESS_W - 9e6, -relief)))


@pytest.fixture
def table(tmp_path: Path, layout: Layout) -> Iterator[tuple[Rounds, Desk, Memory]]:
    with kit.desk_in(tmp_path, kit.market(by_portfolio=True)) as (desk, memory):
        with memory.transaction():
            memory.set_portfolio(frozenset({kit.AGR}))
        yield Rounds(desk, layout, CALENDAR, 200.0), desk, memory


def offer_to(request_id: str, who: str, price: float, number: int) -> uftp.FlexOffer:
    return kit.offer(request_id, sender=who, number=number, offer_options=[kit.option(price=price)])


def test_what_is_missing_is_asked_ordered_delivered_and_paid(
    table: tuple[Rounds, Desk, Memory], layout: Layout
) -> None:
    rounds, desk, memory = table
    seen = projection(layout)
    (sent,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    request = next(said for said in memory.waiting() if said.kind == "FlexRequest").payload.decode()
    assert 'Disposition="Requested" MinPower="0" MaxPower="800000" Start="53"' in request
    assert kit.tell(desk, offer_to(sent[kit.AGR], kit.AGR, 30.0, 2)).reason.startswith("Invalid Message: 1000000 W")
    fitting = kit.offer(sent[kit.AGR], number=3, offer_options=[kit.option(power_w=800_000, price=30.0)])
    assert kit.tell(desk, fitting).reason == ""
    chosen, (order,) = rounds.order(seen, kit.NOON_S)
    assert chosen.proven
    assert order.ordered_w == {53: 8e5, 54: 8e5}
    words = next(said for said in memory.waiting() if said.kind == "FlexOrder").payload
    assert b'<ISP Power="800000" Start="53" Duration="2"/>' in words  # as it was offered
    _accept_delivery(desk, memory)
    (settled,) = rounds.settle(kit.TODAY, made.proof(), kit.NOON_S + 8 * 3600.0)
    assert settled.result is not None
    assert settled.result.net_eur == pytest.approx(30.0)
    assert any(said.kind == "FlexSettlement" for said in memory.waiting())


def _accept_delivery(desk: Desk, memory: Memory, kw: float = -700.0) -> None:
    """The participant takes the order, says its baseline of 1.5 MW of generation and delivers."""
    order_id = next(said for said in memory.waiting() if said.kind == "FlexOrder").message_id
    kit.tell(desk, uftp.FlexOrderResponse(**kit.head(number=70), flex_order_message_id=order_id))
    kit.tell(desk, kit.prognosis(-1_500_000, number=71))
    evening = kit.NOON_S + 7 * 3600.0
    metered = kit.metering(kw, number=72, isps=range(50, 58))
    metered.time_stamp = kit.instant(evening)
    assert kit.tell(desk, metered, at_s=evening).reason == ""


@pytest.mark.parametrize("later_h", [0.5, 1.1, 6.0])
def test_who_has_sold_a_change_cannot_write_himself_the_delivery(
    table: tuple[Rounds, Desk, Memory], layout: Layout, later_h: float
) -> None:
    """It goes on at 1.5 MW and says, after the order or after the fact, that it would have generated 2.3 MW."""
    rounds, desk, memory = table
    seen = projection(layout)
    assert kit.tell(desk, kit.prognosis(-1_500_000, number=69)).reason == ""
    (sent,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    kit.tell(desk, kit.offer(sent[kit.AGR], offer_options=[kit.option(power_w=800_000, price=30.0)]))
    rounds.order(seen, kit.NOON_S + 1.0)
    order_id = next(said for said in memory.waiting() if said.kind == "FlexOrder").message_id
    kit.tell(desk, uftp.FlexOrderResponse(**kit.head(number=70), flex_order_message_id=order_id))
    later_s = kit.NOON_S + 3600.0 * later_h
    revised = kit.prognosis(-2_300_000, number=71, revision=2)
    revised.time_stamp = kit.instant(later_s)
    assert kit.tell(desk, revised, at_s=later_s).reason == ""
    evening_s = kit.NOON_S + 7 * 3600.0
    metered = kit.metering(-1500.0, number=72, isps=range(50, 58))
    metered.time_stamp = kit.instant(evening_s)
    assert kit.tell(desk, metered, at_s=evening_s).reason == ""
    (settled,) = rounds.settle(kit.TODAY, made.proof(), kit.NOON_S + 8 * 3600.0)
    assert settled.result is not None
    assert settled.result.paid_eur == 0.0
    assert settled.result.net_eur < 0.0
    assert [period.baseline_w for period in settled.result.periods] == [-1.5e6, -1.5e6]
    assert desk.baseline_w(kit.AGR, kit.TODAY)[96] == -2.3e6  # what is neither sold nor past it may foresee otherwise


def test_being_curtailed_is_not_paid_as_delivery(table: tuple[Rounds, Desk, Memory], layout: Layout) -> None:
    """All of the ordered 0.8 MW came from the controller's own curtailment of the unit: nothing was delivered."""
    rounds, desk, memory = table
    seen = projection(layout)
    (sent,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    kit.tell(desk, kit.offer(sent[kit.AGR], offer_options=[kit.option(power_w=800_000, price=30.0)]))
    rounds.order(seen, kit.NOON_S)
    _accept_delivery(desk, memory)
    (settled,) = rounds.settle(kit.TODAY, made.proof(curtailed_wh=0.8e6 * QUARTER_S / 3600.0), kit.NOON_S + 8 * 3600.0)
    assert settled.result is not None
    assert settled.result.paid_eur == 0.0
    assert settled.result.net_eur < 0.0


def test_an_order_that_was_given_up_counts_once_its_participant_says_that_it_took_it(
    table: tuple[Rounds, Desk, Memory], layout: Layout
) -> None:
    """The word that it had arrived was lost, by a kill or by the network."""
    rounds, desk, memory = table
    seen = projection(layout)
    (sent,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    kit.tell(desk, kit.offer(sent[kit.AGR], offer_options=[kit.option(power_w=800_000, price=30.0)]))
    rounds.order(seen, kit.NOON_S)
    order_id = next(said for said in memory.waiting() if said.kind == "FlexOrder").message_id
    memory.attempted(order_id, "given up: too late")
    assert rounds.slots(kit.TODAY) == []
    kit.tell(desk, uftp.FlexOrderResponse(**kit.head(number=70), flex_order_message_id=order_id))
    assert [slot.change_w for slot in rounds.slots(kit.TODAY)] == [8e5, 8e5]


def test_a_community_scheme_that_joins_at_noon_is_asked_and_ordered_without_a_restart(
    table: tuple[Rounds, Desk, Memory], layout: Layout
) -> None:
    rounds, desk, memory = table
    seen = projection(layout)
    (first,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    assert list(first) == [kit.AGR]
    with memory.transaction():
        memory.set_portfolio(frozenset({kit.AGR, kit.OTHER}))
    (second,) = rounds.ask(seen, 2, kit.NOON_S + 900.0, kit.NOON_S)
    assert list(second) == [kit.AGR, kit.OTHER]
    for who, price, number in ((kit.AGR, 60.0, 5), (kit.OTHER, 20.0, 6)):
        option = kit.option(power_w=800_000, price=price)
        kit.tell(desk, kit.offer(second[who], sender=who, number=number, offer_options=[option]))
    _, (order,) = rounds.order(seen, kit.NOON_S)
    assert order.price == 20.0
    slots = rounds.slots(kit.TODAY)
    start_s = kit.DAY.isp_start_utc_s(53)
    assert in_force(kit.OTHER, slots, [], start_s).change_w == 8e5
    assert in_force(kit.OTHER, slots, [], start_s + 1800.0).source == "default"


def test_an_order_that_was_turned_down_is_not_counted_on(table: tuple[Rounds, Desk, Memory], layout: Layout) -> None:
    rounds, desk, memory = table
    seen = projection(layout)
    (sent,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    kit.tell(desk, kit.offer(sent[kit.AGR], offer_options=[kit.option(power_w=800_000)]))
    rounds.order(seen, kit.NOON_S)
    order_id = next(said for said in memory.waiting() if said.kind == "FlexOrder").message_id
    no = uftp.FlexOrderResponse(
        **kit.head(number=70), flex_order_message_id=order_id, result=uftp.AcceptedRejected.REJECTED
    )
    assert kit.tell(desk, no).reason == ""
    assert rounds.slots(kit.TODAY) == []
    assert rounds.settle(kit.TODAY, made.proof(), kit.NOON_S) == []


def test_what_nobody_metered_is_not_settled(table: tuple[Rounds, Desk, Memory], layout: Layout) -> None:
    rounds, desk, memory = table
    seen = projection(layout)
    (sent,) = rounds.ask(seen, 1, kit.NOON_S + 900.0, kit.NOON_S)
    kit.tell(desk, kit.offer(sent[kit.AGR], offer_options=[kit.option(power_w=800_000)]))
    rounds.order(seen, kit.NOON_S)
    order_id = next(said for said in memory.waiting() if said.kind == "FlexOrder").message_id
    kit.tell(desk, uftp.FlexOrderResponse(**kit.head(number=70), flex_order_message_id=order_id))
    (settled,) = rounds.settle(kit.TODAY, made.proof(), kit.NOON_S)
    assert (settled.result, settled.reason) == (None, "no D-Prognosis of ISP 53")
    kit.tell(desk, kit.prognosis(number=71))
    (settled,) = rounds.settle(kit.TODAY, made.proof(), kit.NOON_S)
    assert settled.reason == "no metering of ISP 53"
    assert not any(said.kind == "FlexSettlement" for said in memory.waiting())


def test_nothing_is_asked_while_there_is_room(table: tuple[Rounds, Desk, Memory], layout: Layout) -> None:
    rounds, _, memory = table
    calm = projection(layout)
    limits = tuple(replace(x, excess_w=x.excess_w - 2e6, probability=0.0 * x.probability) for x in calm.limits)
    assert rounds.ask(Projection(FIRST, limits), 1, kit.NOON_S + 900.0, kit.NOON_S) == []
    assert memory.waiting() == []


def test_settlement_periods_of_another_length_are_refused_at_the_start(layout: Layout, tmp_path: Path) -> None:
    with (
        kit.desk_in(tmp_path, kit.market(isp_s=1800)) as (desk, _),
        pytest.raises(ValueError, match="projections are of quarter hours"),
    ):
        Rounds(desk, layout, CALENDAR, 200.0)
