"""A DSO's desk, an aggregator and a reference operator with keys that are the same in every run."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nacl.bindings import crypto_sign_seed_keypair
from shapeshifter_uftp import uftp
from xsdata.models.datatype import XmlDate, XmlDuration

from controller.balancing.uftp import wire
from controller.balancing.uftp.desk import Desk, Verdict
from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.values import Day, Request, Wanted
from controller.balancing.uftp.writing import instant

DSO, AGR, OTHER, CRO = "dso.example.com", "agr.example.com", "other.example.com", "cro.example.com"
POINT = "ea1.2026-01.com.example:primary-1"
ZONE = "Europe/London"
TODAY = date(2026, 6, 15)
NOON_S = datetime(2026, 6, 15, 11, 0, tzinfo=UTC).timestamp()  # noon in London
DAY = Day(TODAY, 900, ZONE, POINT)
NOON_ISP = 49
METER = "E" + "1" * 18
CONVERSATION = "00000000-0000-4000-8000-0000000000c0"


def keys(seed: int) -> tuple[str, str]:
    """(public, secret), base64."""
    public, secret = crypto_sign_seed_keypair(bytes([seed]) * 32)
    return b64encode(public).decode(), b64encode(secret).decode()


KEYS = {DSO: keys(1), AGR: keys(2), OTHER: keys(3), CRO: keys(4)}


def participant(domain: str, role: str = "AGR") -> Participant:
    return Participant(domain, role, f"http://127.0.0.1:9/{domain}", KEYS[domain][0], 5e6, ("PVA",), frozenset({METER}))


def market(**changes: Any) -> Market:
    known = {d: participant(d, "CRO" if d == CRO else "AGR") for d in (AGR, OTHER, CRO)}
    return replace(Market(DSO, POINT, 900, ZONE, participants=known), **changes)


def ids(prefix: int) -> Iterator[str]:
    return (f"{prefix:08x}-0000-4000-8000-{n:012x}" for n in itertools.count(1))


@contextmanager
def desk_in(folder: Path, rules: Market | None = None) -> Iterator[tuple[Desk, Memory]]:
    """A desk on a folder, with ids that count on from what the folder holds."""
    memory = Memory(folder)
    said = len(memory.waiting()) + len(memory.verdicts())
    numbers = ids(0xD50 + said)
    try:
        yield Desk(rules or market(), memory, lambda: next(numbers)), memory
    finally:
        memory.close()


def request(asked_isps: tuple[int, ...] = (53, 54), low_w: int = 0, high_w: int = 2_000_000) -> Request:
    """More consumption (less generation) wanted in two quarter hours after one o'clock."""
    return Request(DAY, 1, NOON_S + 1800.0, tuple(Wanted(isp, True, low_w, high_w) for isp in asked_isps))


def head(sender: str = AGR, *, number: int = 1, at_s: float = NOON_S, recipient: str = DSO) -> dict[str, str]:
    """Metadata of a message."""
    return {
        "version": "3.1.0",
        "sender_domain": sender,
        "recipient_domain": recipient,
        "time_stamp": instant(at_s),
        "message_id": f"{number:08x}-a9a9-4000-8000-000000000000",
        "conversation_id": CONVERSATION,
    }


def day(period: date = TODAY) -> dict[str, Any]:
    return {
        "isp_duration": XmlDuration("PT15M"),
        "time_zone": ZONE,
        "period": XmlDate(period.year, period.month, period.day),
        "congestion_point": POINT,
    }


def option(
    reference: str = "A", power_w: int = 1_000_000, price: float = 40.0, first: int = 53
) -> uftp.FlexOfferOption:
    isps = [uftp.FlexOfferOptionISP(power=power_w, start=first, duration=2)]
    return uftp.FlexOfferOption(isps=isps, option_reference=reference, price=price, min_activation_factor=0.25)


def offer(request_id: str | None, *, number: int = 2, sender: str = AGR, **changes: Any) -> uftp.FlexOffer:
    fields = head(sender, number=number) | day()
    fields |= {"expiration_date_time": instant(NOON_S + 3600.0), "offer_options": [option()], "currency": "EUR"}
    return uftp.FlexOffer(**(fields | {"flex_request_message_id": request_id} | changes))


def prognosis(power_w: int = -1_500_000, *, number: int = 3, revision: int = 1, isps: int = 96) -> uftp.DPrognosis:
    whole = [uftp.DPrognosisISP(power=power_w, start=1, duration=isps)]
    return uftp.DPrognosis(**head(number=number), **day(), isps=whole, revision=revision)


def metering(kw: float = -500.0, *, number: int = 4, revision: int = 1, isps: range = range(1, 49)) -> uftp.Metering:
    profile = uftp.MeteringProfile(
        isps=[uftp.MeteringISP(start=isp, value=kw) for isp in isps],
        profile_type=uftp.MeteringProfileEnum.POWER,
        unit=uftp.MeteringUnit.K_W,
    )
    fields = day()
    del fields["congestion_point"]
    return uftp.Metering(**head(number=number), **fields, profiles=[profile], revision=revision, ean=METER)


def sealed(payload: Any, *, signer: str | None = None, role: str = "AGR", key: str | None = None) -> bytes:
    """The message as it comes over the wire; ``signer`` and ``key`` may lie."""
    sender = signer or payload.sender_domain
    return wire.seal(wire.plain_text(payload), sender, KEYS[key or sender][1], role)


def tell(desk: Desk, payload: Any, *, at_s: float = NOON_S, role: str = "AGR", signer: str | None = None) -> Verdict:
    return desk.hear(sealed(payload, role=role, signer=signer), at_s)
