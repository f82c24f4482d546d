"""Bytes that are no message of anybody we know end at the door, before anything is written down."""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

import pytest
import uftp_kit as kit

from controller.balancing.uftp import wire


def test_a_participant_that_floods_is_turned_away_before_it_costs_anything(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path, kit.market(messages_per_hour=3)) as (desk, memory):
        for _ in range(3):
            kit.tell(desk, kit.prognosis())
        with pytest.raises(wire.Unreadable, match="more than 3 messages") as flood:
            kit.tell(desk, kit.prognosis())
        assert flood.value.status == 429
        assert len(memory.verdicts()) == 3


BODIES = [
    b"",
    b"\x00\xff",
    b"<a/>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><SignedMessage/>",
    b"<SignedMessage",
    b"<SignedMessage/>",
    b'<SignedMessage SenderDomain="agr.example.com" SenderRole="KING" Body="AAAA"/>',
    b'<SignedMessage SenderDomain="agr.example.com" SenderRole="AGR" Body="!!!"/>',
    b'<SignedMessage SenderDomain="nobody.example.com" SenderRole="AGR" Body="AAAA"/>',
    b'<SignedMessage SenderDomain="agr.example.com" SenderRole="AGR" Body="AAAA"/>',
    b'<SignedMessage SenderDomain="agr.example.com" SenderRole="AGR" Body="AAAA" Extra="1"/>',
    b"<SignedMessage>" + b"<x>" * 5000,
]


@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_signed_message_ends_at_the_door(tmp_path: Path, body: bytes) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        with pytest.raises(wire.Unreadable) as found:
            desk.hear(body, kit.NOON_S)
        assert 400 <= found.value.status < 500
        assert memory.verdicts() == []


def test_signed_nonsense_is_no_message_either(tmp_path: Path) -> None:
    offer = wire.plain_text(kit.offer(None, unsolicited=True))
    secret = kit.KEYS[kit.AGR][1]
    with kit.desk_in(tmp_path) as (desk, _):
        for text in (
            b"<FlexOrder/>",
            b"<!DOCTYPE a>" + offer,
            offer.replace(b'Power="1000000"', b'Power="many"'),
            offer.replace(b"<FlexOffer ", b'<FlexOffer Extra="1" '),
            offer.replace(b' Currency="EUR"', b""),
            offer.replace(b"</OfferOption>", b"</OfferOption"),
            offer.replace(b"</OfferOption>", b"&#0;</OfferOption>"),
        ):
            with pytest.raises(wire.Unreadable) as found:
                desk.hear(wire.seal(text, kit.AGR, secret, "AGR"), kit.NOON_S)
            assert found.value.status == 400
        no_price = offer.replace(b'Price="40.0000"', b'Price="NaN"')
        verdict = desk.hear(wire.seal(no_price, kit.AGR, secret, "AGR"), kit.NOON_S)
        assert verdict.reason == "Invalid Message: Price is 'NaN'; expected a finite number"


def test_random_damage_to_a_message_never_gets_past_the_signature(tmp_path: Path) -> None:
    seed = 9
    print(f"seed {seed}")
    draw = random.Random(seed)
    signed = wire.plain_text(kit.prognosis())
    message = wire.seal(signed, kit.AGR, kit.KEYS[kit.AGR][1], "AGR")
    with kit.desk_in(tmp_path, kit.market(messages_per_hour=10_000)) as (desk, memory):
        for _ in range(300):
            damaged = bytearray(message)
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            with contextlib.suppress(wire.Unreadable):
                desk.hear(bytes(damaged), kit.NOON_S)
        assert {heard.payload for heard in memory.accepted_of("DPrognosis", kit.TODAY.isoformat())} <= {signed}


def test_an_answer_that_does_not_say_how_it_is_meant_is_none(tmp_path: Path) -> None:
    """The library reads a missing Result as Accepted."""
    with kit.desk_in(tmp_path) as (desk, memory):
        sent = desk.ask(kit.request(), kit.NOON_S)[kit.AGR]
        answer = kit.uftp.FlexRequestResponse(**kit.head(), flex_request_message_id=sent)
        silent = wire.plain_text(answer).replace(b' Result="Accepted"', b"")
        with pytest.raises(wire.Unreadable, match="Result is missing"):
            desk.hear(wire.seal(silent, kit.AGR, kit.KEYS[kit.AGR][1], "AGR"), kit.NOON_S)
        said = memory.sent(sent)
        assert said is not None
        assert said.answer == ""


BLANKS = [b" " * 200_000, b"<?xml version='1.0' " + b" " * 200_000, b"<?xml version='1.0'?>" + b"\n" * 200_000]


@pytest.mark.parametrize("body", BLANKS)
def test_blanks_cost_nothing(tmp_path: Path, body: bytes) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        took_s = []
        for _ in range(3):  # one of them without a collection of garbage
            began_s = time.process_time()
            with pytest.raises(wire.Unreadable):
                desk.hear(body, kit.NOON_S)
            took_s.append(time.process_time() - began_s)
        assert min(took_s) < 0.05


def test_what_is_turned_away_is_counted_by_status_and_sender(tmp_path: Path) -> None:
    forged = kit.sealed(kit.prognosis(), key=kit.OTHER)
    with kit.desk_in(tmp_path) as (desk, _):
        for k, body in enumerate([b"", b"<a/>", forged, forged, b"<b/>"]):
            with pytest.raises(wire.Unreadable):
                desk.hear(body, kit.NOON_S + k / 10.0)
    with kit.desk_in(tmp_path) as (_, memory):
        assert [(a.status, a.sender, a.count) for a in memory.turned_away()] == [(400, "", 3), (401, kit.AGR, 2)]
