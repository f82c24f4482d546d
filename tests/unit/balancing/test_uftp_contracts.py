"""A bilateral contract: what tomorrow does not need is released in time, the rest stays ready and is settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import market_kit as made
import numpy as np
import pytest
import uftp_kit as kit
from shapeshifter_uftp import uftp
from shapeshifter_uftp.transport import from_xml

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.market import Market
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.planner import publish_portfolio
from controller.balancing.uftp.reservations import reserved_w
from controller.balancing.uftp.rounds import Rounds
from controller.balancing.uftp.values import Request, Wanted
from controller.config.loader import parse_site
from controller.domain.market import Contract
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import Calendar
from controller.planning.projection import LimitOutlook, Projection

SITE = made.site_with(made.market_text())
CALENDAR = Calendar(kit.DAY.start_utc_s)
TOMORROW = replace(kit.DAY, period=kit.TODAY + timedelta(days=1))
# 600 kW more consumption from 16:00 to 17:00, to be released by 13:00 of the day before
CONTRACT = Contract("C-7", kit.AGR, 600e3, 16 * 3600.0, 17 * 3600.0, 13 * 3600.0)
FIRST = 65  # its first ISP: 16:00
DEADLINE_S = kit.NOON_S + 3600.0


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(SITE, GridModel(SITE.topology))


@pytest.fixture
def table(tmp_path: Path, layout: Layout) -> Iterator[tuple[Rounds, Desk, Memory]]:
    with kit.desk_in(tmp_path, kit.market(contracts=(CONTRACT,))) as (desk, memory):
        yield Rounds(desk, layout, CALENDAR, 200.0), desk, memory


def projection(layout: Layout, quarters: int = 160) -> Projection:
    """From noon on; tomorrow at 16:15 there are 400 kW too much, at 16:30 2 MW, and room otherwise."""
    excess_w = np.full(quarters, -1e6)
    at = 96 + FIRST - 1 - kit.NOON_ISP + 1
    if quarters > at + 2:
        excess_w[at + 1], excess_w[at + 2] = 400e3, 2e6
    export = LimitOutlook("export", "high", (excess_w > 0.0).astype(float), excess_w, np.ones(layout.n_w))
    return Projection(kit.NOON_ISP - 1, (export,))


def test_what_the_projection_does_not_need_is_released_and_never_more_kept_than_was_reserved(
    table: tuple[Rounds, Desk, Memory], layout: Layout
) -> None:
    rounds, _, memory = table
    (kept,) = rounds.release(projection(layout), kit.NOON_S)
    assert kept.power_w == {FIRST: 0.0, FIRST + 1: pytest.approx(400e3), FIRST + 2: 600e3, FIRST + 3: 0.0}
    (said,) = memory.waiting()
    message = from_xml(said.payload)
    assert isinstance(message, uftp.FlexReservationUpdate)
    assert (message.contract_id, str(message.period)) == ("C-7", str(TOMORROW.period))
    assert [(isp.start, isp.power) for isp in message.isps] == [(65, 0), (66, 400_000), (67, 600_000), (68, 0)]
    assert said.until_utc_s == DEADLINE_S
    assert rounds.release(projection(layout), kit.NOON_S + 300.0) == []


def test_what_nobody_can_see_stays_reserved(table: tuple[Rounds, Desk, Memory], layout: Layout) -> None:
    rounds, _, _ = table
    (kept,) = rounds.release(projection(layout, quarters=48), kit.NOON_S)
    assert set(kept.power_w.values()) == {600e3}


@pytest.mark.parametrize("at_s", [kit.NOON_S - 1.0, DEADLINE_S, DEADLINE_S + 60.0])
def test_nothing_is_said_long_before_the_deadline_or_after_it(
    table: tuple[Rounds, Desk, Memory], layout: Layout, at_s: float
) -> None:
    rounds, _, _ = table
    assert rounds.release(projection(layout), at_s) == []


def test_what_was_released_is_settled_only_when_its_participant_took_it(
    table: tuple[Rounds, Desk, Memory], layout: Layout
) -> None:
    rounds, desk, memory = table
    assert [r.power_w for r in desk.reserved(kit.AGR, TOMORROW)] == [dict.fromkeys(range(65, 69), 600e3)]
    rounds.release(projection(layout), kit.NOON_S)
    assert set(desk.reserved(kit.AGR, TOMORROW)[0].power_w.values()) == {600e3}
    (said,) = memory.waiting()
    taken = uftp.FlexReservationUpdateResponse(
        **kit.head(number=70), flex_reservation_update_message_id=said.message_id
    )
    assert kit.tell(desk, taken).reason == ""
    assert desk.reserved(kit.AGR, TOMORROW)[0].power_w == {65: 0.0, 66: 400e3, 67: 600e3, 68: 0.0}
    assert desk.reserved(kit.OTHER, TOMORROW) == []


def test_a_request_for_reserved_periods_names_the_contract_to_who_is_bound_by_it(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path, kit.market(contracts=(CONTRACT,))) as (desk, memory):
        inside = Request(TOMORROW, 1, kit.NOON_S + 900.0, (Wanted(66, True, 0, 400_000), Wanted(90, False, 0, 1)))
        outside = Request(TOMORROW, 2, kit.NOON_S + 900.0, (Wanted(66, False, 0, 1), Wanted(90, True, 0, 400_000)))
        sent = [desk.ask(asked, kit.NOON_S) for asked in (inside, outside)]
        named = {said.message_id: from_xml(said.payload).contract_id for said in memory.waiting()}
        assert [[named[one[who]] for who in (kit.AGR, kit.OTHER)] for one in sent] == [["C-7", None], [None, None]]


def test_a_contract_of_working_days_reserves_nothing_on_a_saturday() -> None:
    working = replace(CONTRACT, weekends=False)
    saturday = replace(kit.DAY, period=kit.TODAY + timedelta(days=5))
    assert len(reserved_w(working, kit.DAY)) == 4
    assert reserved_w(working, saturday) == {}


CONNECTIONS = ("ean.871685900012636543", "ea1.2026-01.com.example:house-2")


def operators_rules(*connections: str) -> Market:
    return kit.market(connections=connections)


def test_a_reference_operator_is_told_the_connections_once_and_again_when_they_change(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path, operators_rules(*CONNECTIONS)) as (desk, memory):
        assert len(publish_portfolio(desk, kit.TODAY, kit.NOON_S)) == 1
        assert publish_portfolio(desk, kit.TODAY, kit.NOON_S + 86_400.0) == []
        (said,) = memory.waiting()
        (point,) = from_xml(said.payload).congestion_points
        assert (said.recipient, point.entity_address, point.mutex_offers_supported) == (kit.CRO, kit.POINT, True)
        assert [one.entity_address for one in point.connections] == list(CONNECTIONS)
        answer = uftp.DsoPortfolioUpdateResponse(**kit.head(kit.CRO), dso_portfolio_update_message_id=said.message_id)
        assert kit.tell(desk, answer, role="CRO").reason == ""
    with kit.desk_in(tmp_path, operators_rules(CONNECTIONS[0])) as (desk, _):
        assert len(publish_portfolio(desk, kit.TODAY, kit.NOON_S)) == 1
    with kit.desk_in(tmp_path, operators_rules()) as (desk, _):
        assert publish_portfolio(desk, kit.TODAY, kit.NOON_S) == []


def test_a_portfolio_that_did_not_arrive_is_said_again_an_hour_later(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path, operators_rules(*CONNECTIONS)) as (desk, memory):
        (message_id,) = publish_portfolio(desk, kit.TODAY, kit.NOON_S)
        memory.attempted(message_id, "given up: too late")
        assert publish_portfolio(desk, kit.TODAY, kit.NOON_S + 60.0) == []
        assert len(publish_portfolio(desk, kit.TODAY, kit.NOON_S + 3600.0)) == 1


BLOCK = (
    made.market_text()
    + """  horizon_h: 36
  contracts:
    - {id: C-7, participant: agr.example.com, more_kw: 600, begin: "16:00", end: "17:00", release_by: "13:00"}
"""
)


def test_a_contract_is_stated_in_the_site_file() -> None:
    market = made.site_with(BLOCK).market
    assert market is not None
    assert market.rules.contracts == (CONTRACT,)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("agr.example.com, more", "nobody.example.com, more", "expected an aggregator of this market"),
        ("more_kw: 600,", "", "expected one of more_kw and less_kw above 0"),
        ('end: "17:00"', 'end: "16:00"', "expected later than 16:00"),
        ("horizon_h: 36", "horizon_h: 12", "expected market.horizon_h above 27"),
        ("  contracts:", "  connections: [ean.1]\n  contracts:", "ean. and 12 to 34 digits"),
    ],
)
def test_a_contract_that_cannot_work_is_refused(old: str, new: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_site(made.site_text(BLOCK.replace(old, new)), "with a contract")
