"""What the platform tells by MQTT makes the next poll come at once, and is believed no more than a hint."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

import platform_kit as kit
from mosquitto_kit import MOSQUITTO, Broker, mosquitto_hash, until

from controller.balancing.https import LinkError
from controller.balancing.mqtt.connection import connect
from controller.balancing.mqtt.link_lost import LinkLost
from controller.balancing.openadr.times import instant_text
from controller.balancing.openadr_link import HINT_S, OpenAdrLink
from controller.balancing.openadr_notices import Notices
from controller.balancing.order_port import OrderPort
from controller.clock import SystemClock
from controller.domain.platform import Link, Platform
from simulators.platform.notifier import Notifier, topics_of
from simulators.platform.stand_in import VEN, StandIn

pytestmark = [
    pytest.mark.socket,
    pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto here: apt-get install mosquitto"),
]
POLL_S = 600.0  # nothing is polled again within the test but by a hint, however long it takes


class Place:
    """A platform with a broker, and a site that polls it every ten minutes."""

    def __init__(self, stand_in: StandIn, broker: Broker, notifier: Notifier, link: OpenAdrLink) -> None:
        self.stand_in, self.broker, self.notifier, self.link = stand_in, broker, notifier, link
        self.program = stand_in.programme("Flexible connection")

    def polls(self) -> int:
        return sum(path.endswith("/events") for method, path, _ in self.stand_in.vtn.seen if method == "GET")

    def export_limit(self) -> str:
        period = {"start": instant_text(SystemClock().utc().timestamp() - 60.0), "duration": "PT30M"}
        return str(self.stand_in.post(self.program, "EXPORT_CAPACITY_LIMIT", [3000], intervalPeriod=period)["id"])


def platform_of(stand_in: StandIn) -> Platform:
    assert kit.SITE.platform is not None
    ca = str(stand_in.authority.ca_file)
    link = Link(stand_in.url, "demo", POLL_S, 600.0, str(stand_in.credentials_file), ca, notified=True)
    return replace(kit.SITE.platform, link=link)


@contextlib.asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    broker = Broker(folder)
    await broker.start()
    stand_in = StandIn(folder / "platform")
    await stand_in.open()
    notifier = Notifier(broker.port)
    stand_in.notify_by(notifier)
    platform, clock = platform_of(stand_in), SystemClock()
    link = OpenAdrLink(replace(kit.SITE, platform=platform), platform, clock, folder, OrderPort(folder / "nobody"))
    await link.open()
    made = Place(stand_in, broker, notifier, link)
    work = [asyncio.create_task(made.notifier.run()), asyncio.create_task(link.session())]
    work.append(asyncio.create_task(link.tasks()["notices"]()))
    try:
        yield made
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await link.aclose()
        await stand_in.aclose()
        await broker.kill()


async def heard(made: Place) -> None:
    """Until the site listens: then it looks once more, for what had changed before."""
    await until(lambda: made.polls() >= 2, "a poll because of the new ear")
    await asyncio.sleep(HINT_S + 0.2)


async def test_an_event_is_known_a_second_after_it_was_told_though_the_period_is_ten_minutes(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        await heard(made)
        event_id = made.export_limit()
        await until(lambda: made.stand_in.answers(event_id) == [["ACCEPTED"]], "an answer")
        made.stand_in.vtn.remove("events", event_id)
        await until(lambda: not made.link._opened.commands.book.standing, "the withdrawal")


async def test_what_a_notification_says_is_not_read_and_a_flood_of_them_polls_once_a_second(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        await heard(made)
        before = made.polls()
        async with aiomqtt.Client("127.0.0.1", made.broker.port) as anybody:
            lie = b'{"objectType": "EVENT", "operation": "CREATE", "object": {"id": "e-1", "priority": 0}}'
            for body in (lie, b"", b"\xff" * 5000) * 60:
                await anybody.publish(topics_of(made.program["id"])["CREATE"], body, 1)
        await asyncio.sleep(2.2 * HINT_S)
        assert 1 <= made.polls() - before <= 3
        assert not made.link._opened.commands.book.standing


async def test_a_broker_that_dies_is_found_again_and_what_changed_meanwhile_is_polled(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        await heard(made)
        await made.broker.kill()
        event_id = made.export_limit()
        await made.broker.start()
        await until(lambda: made.stand_in.answers(event_id) == [["ACCEPTED"]], "an answer")


async def test_the_platforms_token_opens_the_broker(tmp_path: Path) -> None:
    """The broker takes the VEN's name with a password that only the token can be."""
    stand_in = StandIn(tmp_path / "platform")
    await stand_in.open()
    try:
        stand_in.notify_by(Notifier(1883), "OAUTH2_BEARER_TOKEN")
        stand_in.programme("Flexible connection")
        found = await Notices(platform_of(stand_in), SystemClock(), lambda: None).find()
    finally:
        await stand_in.aclose()
    assert found.account is not None
    assert (found.account.user, found.account.password) == (VEN[0], next(iter(stand_in.vtn._tokens)))
    assert found.account.password not in repr(found)
    passwords = tmp_path / "passwords"
    passwords.write_text(f"{VEN[0]}:{mosquitto_hash(found.account.password)}\n", "ascii")
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    await broker.start()
    try:
        there = replace(found.broker, port=broker.port)
        async with connect(there, "gridedge-demo", None, found.account) as connection:
            await connection.subscribe(found.topics)
        with pytest.raises(LinkLost, match="ot authori"):
            async with connect(there, "gridedge-demo", None):
                pass
    finally:
        await broker.kill()


@pytest.mark.parametrize(
    ("binding", "why"),
    [
        (None, "does not notify by MQTT"),
        ({"URIS": ["mqtt://broker.example.com"]}, "expected one by mqtts"),
        ({"authentication": {"method": "CERTIFICATE"}}, "expected platform.cert_file"),
    ],
)
async def test_a_broker_that_cannot_be_trusted_is_not_used(tmp_path: Path, binding: dict | None, why: str) -> None:
    stand_in = StandIn(tmp_path / "platform")
    await stand_in.open()
    try:
        stand_in.notify_by(Notifier(1883))
        stand_in.programme("Flexible connection")
        stand_in.vtn.mqtt = None if binding is None else {**(stand_in.vtn.mqtt or {}), **binding}
        with pytest.raises(LinkError, match=why):
            await Notices(platform_of(stand_in), SystemClock(), lambda: None).find()
    finally:
        await stand_in.aclose()
