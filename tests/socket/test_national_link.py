"""The day's bid reaches the national market once, in time, through lost answers, kills and a market that is away."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

from national_kit import AT, HOUR_S, TENDER, Place, kit, place_in
from structlog.testing import capture_logs

from controller.balancing.https import LinkError
from controller.balancing.national.client import Answer, read_answer
from controller.balancing.national.hours import hours_of
from controller.balancing.national.link import MAKE_AGAIN_S

pytestmark = pytest.mark.socket


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_in(tmp_path) as one:
        yield one


async def test_the_day_s_bid_is_made_said_and_accepted_and_no_second_one(place: Place) -> None:
    with capture_logs() as told:
        async with place.station() as link:
            for _ in range(3):
                await link.look()
                place.clock.advance(MAKE_AGAIN_S)
    ((name, bid),) = place.desk.bids.items()
    hours = hours_of(place.tender, AT.timestamp(), "Europe/London")
    assert name == f"station-{int(hours.begins_utc_s)}"
    assert (bid["from_utc_s"], bid["until_utc_s"]) == (hours.begins_utc_s, hours.ends_utc_s)
    assert (bid["units"], bid["price_eur_per_mwh"]) == (["BAT"], 12.0)
    assert max(bid["up_w"], bid["down_w"]) > 0.0
    assert place.desk.asked == 1
    assert [entry["event"] for entry in told] == ["national.offered", "national.accepted"]


async def test_before_its_hour_and_behind_the_gate_nothing_is_offered(place: Place) -> None:
    async with place.station() as link:
        early = replace(place.tender, at_s=place.tender.at_s + 600.0)
        link._tender = early
        await link.look()
        assert place.desk.asked == 0
        link._tender = place.tender
        place.clock.advance(1200.0)
        link.take(kit.seller_record())
        await link.look()
    assert place.desk.asked == 0


async def test_a_lost_answer_and_a_kill_bring_the_same_bid_again_and_the_market_has_one(place: Place) -> None:
    place.desk.loses = 2
    async with place.station() as first:
        await first.look()
    other = kit.seller_record(soc_frac=0.1)
    async with place.station(other) as second:
        place.clock.advance(60.0)
        second.take(other)
        await second.look()
        await second.look()
        await second.look()
    assert place.desk.asked == 3
    assert len(place.desk.bids) == 1
    assert place.fates() == [("accepted", "", 3)]


async def test_a_market_that_is_away_until_the_gate_closes_makes_the_bid_late(place: Place) -> None:
    place.desk.away = True
    with capture_logs() as told:
        async with place.station() as link:
            await link.look()
            place.clock.advance(600.0)
            await link.look()
            place.clock.advance(600.0)
            place.desk.away = False
            await link.look()
    assert place.desk.bids == {}
    assert place.desk.asked == 2
    assert place.fates()[0][0] == "late"
    assert [entry["event"] for entry in told] == ["national.offered", "national.stuck", "national.not_sold"]


async def test_an_unknown_certificate_gets_no_bid(place: Place) -> None:
    place.tender = replace(place.tender, ca_file=None)
    async with place.station() as link:
        await link.look()
    assert place.desk.asked == 0
    assert place.fates()[0][0] == ""


async def test_without_a_fresh_record_nobody_knows_what_is_left(place: Place) -> None:
    with capture_logs() as told:
        async with place.station() as link:
            place.clock.advance(90.0)
            await link.look()
            link.take(kit.seller_record(status="lost"))
            place.clock.advance(MAKE_AGAIN_S)
            link.take(kit.seller_record(status="lost"))
            await link.look()
    assert place.desk.asked == 0
    assert [entry["reason"].split(": ")[1][:14] for entry in told] == ["no record of t", "nothing is lef"]


async def test_what_a_local_service_has_in_the_window_is_not_for_sale(place: Place) -> None:
    async def claims(from_utc_s: float, until_utc_s: float) -> Mapping[str, str]:
        hours = hours_of(place.tender, AT.timestamp(), "Europe/London")
        assert (from_utc_s, until_utc_s) == (hours.begins_utc_s, hours.ends_utc_s)
        return {"BAT": "order o1 of agr.example.com"}

    place.claims = claims
    with capture_logs() as told:
        async with place.station() as link:
            await link.look()
    assert place.desk.asked == 0
    assert "nothing is left" in told[0]["reason"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"id": "other", "accepted": true}', b'{"id": "b", "accepted": 1}', b'{"id": "b", "id": "b"}'],
)
def test_an_answer_that_is_not_about_the_bid_is_none(body: bytes) -> None:
    with pytest.raises(LinkError):
        read_answer(body, "b")
    assert read_answer(b'{"id": "b", "accepted": false, "reason": "too dear"}', "b") == Answer(False, "too dear")


def test_hours_follow_the_site_s_clock_over_midnight_and_when_it_changes() -> None:
    night = replace(TENDER, start_s=23 * HOUR_S, end_s=1 * HOUR_S)
    summer = hours_of(night, AT.timestamp(), "Europe/London")
    assert summer.ends_utc_s - summer.begins_utc_s == 2 * HOUR_S
    assert summer.at_utc_s == AT.timestamp()
    change = datetime(2026, 10, 24, 14, 0, tzinfo=UTC).timestamp()  # the clocks go back in the following night
    long_night = hours_of(replace(night, end_s=3 * HOUR_S), change, "Europe/London")
    assert long_night.ends_utc_s - long_night.begins_utc_s == 5 * HOUR_S
