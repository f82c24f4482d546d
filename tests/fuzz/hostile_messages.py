"""UFTP messages that mean harm, one generator for each way; and what a message must be to be acted on, said once more.

What is expected of a message stands beside it: nothing hostile may be accepted, and what was mutated before it was
signed with the right key may be accepted only if an independent reading of its text finds it within the rules.
"""

from __future__ import annotations

import random
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from nacl.bindings import crypto_sign, crypto_sign_open

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

import uftp_kit as kit

from controller.balancing.uftp import wire
from controller.balancing.uftp.writing import instant

POWER_MAX_W, ASKED_MAX_W, PRICE_MAX = 5e6, 2e6, 1e6
STALE_S, AHEAD_S = 300.0, 60.0


@dataclass(frozen=True)
class Scene:
    """What the attacker knows: the time, our open request, messages that were accepted, a number that is new."""

    draw: random.Random
    now_s: float
    request_id: str
    accepted: list[bytes]
    number: int


@dataclass(frozen=True)
class Message:
    """A body and whether it may be accepted at all."""

    body: bytes
    may_pass: bool = False


def signed(text: bytes, *, sender: str = kit.AGR, key: str | None = None, role: str = "AGR") -> bytes:
    """As the wire wants it; ``key`` may be somebody else's."""
    return wire.seal(text, sender, kit.KEYS[key or sender][1], role)


def good(scene: Scene, **changes: Any) -> Any:
    """An offer without a fault, but for ``changes``."""
    fields = {
        "time_stamp": instant(scene.now_s),
        "expiration_date_time": instant(scene.now_s + 3600.0),
        "message_id": f"{scene.number:08x}-bbbb-4000-8000-{scene.draw.randrange(16**12):012x}",
    }
    return kit.offer(scene.request_id, **(fields | changes))


def text_of(scene: Scene, **changes: Any) -> bytes:
    return wire.plain_text(good(scene, **changes))


def replay(scene: Scene) -> Message:
    return Message(scene.draw.choice(scene.accepted))


def same_id(scene: Scene) -> Message:
    """Other words under an id that was accepted."""
    old = scene.draw.choice(scene.accepted)
    inner = crypto_sign_open(wire.open_envelope(old).sealed, b64decode(kit.KEYS[kit.AGR][0]))
    return Message(signed(inner.replace(b"1000000", b"%d" % scene.draw.randrange(1, 1_000_000))))


def other_recipient(scene: Scene) -> Message:
    who = scene.draw.choice(("someone.example.com", kit.AGR, "DSO.example.com", "", kit.DSO + "."))
    return Message(
        signed(text_of(scene).replace(b'RecipientDomain="dso.example.com"', b'RecipientDomain="%b"' % who.encode()))
    )


def other_time(scene: Scene) -> Message:
    age_s = scene.draw.choice((STALE_S + 1.0, 3600.0, 4e7, -AHEAD_S - 1.0, -3600.0, -4e7))
    return Message(signed(text_of(scene, time_stamp=instant(scene.now_s - age_s))))


def beyond(scene: Scene) -> Message:
    """Too much of something: power, price, share, time, periods, days, money of others."""
    attribute, values = scene.draw.choice(
        (
            ("Power", ("2000001", "-1", "5000001", "99999999999999", "9" * 4000, "1e6", "NaN", "", "0x10")),
            ("Price", ("-0.01", "1000000.01", "NaN", "INF", "1E+999999999", "1E-999999999", "9" * 60, "")),
            ("MinActivationFactor", ("0", "-1", "1.01", "NaN", "1E9", "")),
            ("Start", ("0", "97", "-1", "4", "999999999", "1.5")),
            ("Duration", ("0", "-1", "97", "999999999")),
            ("Period", ("2026-06-14", "2026-06-18", "2036-06-15", "2026-02-31", "9" * 40 + "-01-01", "")),
            ("Currency", ("USD", "eur", "")),
            ("TimeZone", ("Europe/Amsterdam", "../../etc/passwd", "UTC", "")),
            ("ISP-Duration", ("PT1H", "PT0M", "-PT15M", "P" + "1" * 400 + "Y")),
            ("CongestionPoint", ("ea1.2026-01.com.example:primary-2", "", "x" * 5000)),
            ("ExpirationDateTime", ("2020-01-01T00:00:00Z", "never")),
            ("FlexRequestMessageID", ("00000000-0000-4000-8000-000000000000", "", "' OR 1=1 --")),
            ("Version", ("2.0.0", "4.1.0", "")),
            ("ContractID", ("\x7f" * 10,)),
        )
    )
    value = scene.draw.choice(values).encode()
    before, _, after = text_of(scene).partition(b' %b="' % attribute.encode())
    if not after:
        return Message(
            signed(before.replace(b"<FlexOffer ", b'<FlexOffer %b="%b" ' % (attribute.encode(), value))), True
        )
    return Message(signed(before + b' %b="%b"' % (attribute.encode(), value) + after[after.index(b'"') + 1 :]))


def stranger(scene: Scene) -> Message:
    """Nobody whom we know, or somebody whom we know with a stranger's key."""
    who = scene.draw.choice(("nobody.example.com", "", "agr.example.com ", "x" * 9000, kit.AGR))
    secret = b64encode(scene.draw.randbytes(64)).decode()
    return Message(wire.seal(text_of(scene), who, secret, scene.draw.choice(("AGR", "DSO", "CRO"))))


def false_signature(scene: Scene) -> Message:
    """Of another message, of another participant, cut, or none."""
    text, secret = text_of(scene), b64decode(kit.KEYS[kit.AGR][1])
    whole = crypto_sign(text, secret)
    other = crypto_sign(text_of(scene, currency="USD"), secret)
    forms = (
        other[:64] + text,
        whole[: scene.draw.randrange(64)],
        text,
        b"\0" * 64 + text,
        whole[:32] + bytes(32) + text,
        whole + b" ",
        crypto_sign(text, b64decode(kit.KEYS[kit.OTHER][1])),
    )
    body = b64encode(scene.draw.choice(forms))
    return Message(b'<SignedMessage SenderDomain="agr.example.com" SenderRole="AGR" Body="%b"/>' % body)


def other_speaker(scene: Scene) -> Message:
    """Signed well, by one who may not say it."""
    text, crowd = text_of(scene), scene.draw.randrange(4)
    if crowd == 0:
        return Message(signed(text, sender=kit.OTHER))
    if crowd == 1:
        return Message(signed(text, role=scene.draw.choice(("CRO", "DSO"))))
    if crowd == 2:
        return Message(signed(wire.plain_text(kit.offer(scene.request_id, sender=kit.OTHER)), sender=kit.OTHER))
    listed = kit.uftp.DsoPortfolioQueryResponse(
        **(kit.head(number=scene.number) | {"time_stamp": instant(scene.now_s)}),
        dso_portfolio_query_message_id=scene.request_id,
        time_zone=kit.ZONE,
        period=kit.day()["period"],
    )
    return Message(signed(wire.plain_text(listed)))


def not_for_a_dso(scene: Scene) -> Message:
    """Kinds that only a DSO says, kinds that nobody knows, and answers to what was never said."""
    text = text_of(scene)
    name = scene.draw.choice(
        (b"FlexRequest", b"FlexOrder", b"FlexSettlement", b"AGRPortfolioQuery", b"SignedMessage", b"X")
    )
    if scene.draw.random() < 0.5:
        return Message(signed(text.replace(b"FlexOffer ", name + b" ").replace(b"/FlexOffer>", b"/" + name + b">")))
    fields = kit.head(number=scene.number) | {"time_stamp": instant(scene.now_s)}
    unknown = f"{scene.draw.randrange(16**8):08x}-0000-4000-8000-000000000000"
    answer = kit.uftp.FlexOrderResponse(**fields, flex_order_message_id=unknown)
    revoked = kit.uftp.FlexOfferRevocation(**fields, flex_offer_message_id=unknown)
    return Message(signed(wire.plain_text(scene.draw.choice((answer, revoked)))))


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">%b]>' % b"".join(
    b'<!ENTITY %c "%b">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("c"), ord("j"))
)


def bomb(scene: Scene) -> Message:
    """Entities, external files, depth, width: outside, or inside with a right signature."""
    text, draw = text_of(scene), scene.draw
    size = draw.choice((10, 500, 3000))
    isp = b'<ISP Power="1" Start="1" Duration="1"/>'
    forms = (
        BOMB + text,
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + text,
        text.replace(b"</FlexOffer>", b"<!-- x --></FlexOffer>"),
        text.replace(b"</FlexOffer>", b"<a>" * size + b"</a>" * size + b"</FlexOffer>"),
        text.replace(b"</OfferOption>", isp * size * 2 + b"</OfferOption>"),
        text.replace(b"<FlexOffer ", b"<FlexOffer " + b" ".join(b'a%d="1"' % k for k in range(size)) + b" "),
        text.replace(b"<FlexOffer ", b"<FlexOffer " + b" ".join(b'xmlns:a%d="u"' % k for k in range(size + 33)) + b" "),
        text.replace(b'OptionReference="A"', b'OptionReference="%b"' % (b"&#65;" * size * 21)),
        b"<?xml version='1.0' encoding='UTF-16'?>" + text,
    )
    form = draw.choice(forms)
    return Message(form if draw.random() < 0.3 else signed(form))


def huge(scene: Scene) -> Message:
    """More bytes than anybody takes, or just as many of nothing."""
    size = scene.draw.choice((wire.BYTES_MAX + 1, wire.BYTES_MAX - 2000, 4 * wire.BYTES_MAX))
    filler = scene.draw.choice((b" ", b"<", b"=", b"&#65;", b"\0", b"A"))
    text = filler * (size // len(filler))
    return Message(scene.draw.choice((text, b"<SignedMessage Body='" + text + b"'/>", b"<FlexOffer>" + text)))


def damaged(scene: Scene) -> Message:
    """A right message with some bytes changed on the way."""
    body = bytearray(signed(text_of(scene)))
    for _ in range(scene.draw.randrange(1, 5)):
        body[scene.draw.randrange(len(body))] = scene.draw.randrange(256)
    return Message(bytes(body), may_pass=True)


def mutated(scene: Scene) -> Message:
    """Bytes changed before it was signed with the right key: whoever sent it meant that."""
    text, draw = bytearray(text_of(scene)), scene.draw
    for _ in range(draw.randrange(1, 4)):
        at, way = draw.randrange(60, len(text)), draw.randrange(4)
        if way == 0:
            text[at] = draw.choice(b"0123456789<>\"'=&;-+.eE/ \x00\xff")
        elif way == 1:
            del text[at : at + draw.randrange(1, 30)]
        elif way == 2:
            text[at:at] = text[draw.randrange(len(text)) :][: draw.randrange(1, 60)]
        else:
            text[at:at] = draw.choice((b"-", b"0", b"9" * 20, b"&amp;", b"&#0;", b"]]>", b"\xc3\x28", b"<ISP/>"))
    return Message(signed(bytes(text)), may_pass=True)


ATTACKS: tuple[Callable[[Scene], Message], ...] = (
    *(replay, same_id, other_recipient, other_time, beyond, beyond, stranger, false_signature, other_speaker),
    *(not_for_a_dso, bomb, huge, damaged, mutated, mutated, mutated),
)


def fault_of(text: bytes, scene: Scene) -> str:
    """What the rules have against an offer that was accepted, read by another parser; empty when nothing."""
    root = ElementTree.fromstring(text)
    about = root.attrib
    age_s = scene.now_s - datetime.fromisoformat(about["TimeStamp"].replace("Z", "+00:00")).timestamp()
    wrong = [
        root.tag != "FlexOffer",
        about["SenderDomain"] != kit.AGR or about["RecipientDomain"] != kit.DSO,
        not -AHEAD_S <= age_s <= STALE_S,
        about["FlexRequestMessageID"].lower() != scene.request_id,
        (about["Currency"], about["CongestionPoint"], about["Period"]) != ("EUR", kit.POINT, kit.TODAY.isoformat()),
        (about["ISP-Duration"], about["TimeZone"]) != ("PT15M", kit.ZONE),
    ]
    for option in root.iter("OfferOption"):
        wrong.append(not 0.0 <= float(option.attrib["Price"]) <= PRICE_MAX)
        wrong.append(not 0.01 <= float(option.attrib.get("MinActivationFactor", "1")) <= 1.0)
    for isp in root.iter("ISP"):
        start, lasts = int(isp.attrib["Start"]), int(isp.attrib.get("Duration", "1"))
        wrong.append(not 0.0 <= float(isp.attrib["Power"]) <= ASKED_MAX_W or not 53 <= start <= start + lasts - 1 <= 54)
    return f"rules {[k for k, bad in enumerate(wrong) if bad]} broken" if any(wrong) else ""
