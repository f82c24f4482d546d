"""MQTT 3.1.1 to one broker. Everything that goes wrong is one error; nothing is retried here.

TLS 1.2 or newer with host name and chain verified, unless the site file says that there is none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from controller.balancing.mqtt.link_lost import LinkLost
from controller.balancing.mqtt.packet import Packet
from controller.domain.telemetry import Broker

ANSWER_S = 10.0
"""Longest wait for the broker or for room in the socket, machine seconds."""
KEEPALIVE_S = 15
HEARD_MAX = 100
"""Messages that wait to be looked at; more are a flood and dropped."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that came in."""

    topic: str
    body: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are at the broker; never shown."""

    user: str
    password: str = field(repr=False)


class Connection:
    """One connection while it lasts; every method raises LinkLost when it does not."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def publish(self, packet: Packet) -> None:
        """Hand over one packet; at QoS 1 the broker has it then, at QoS 0 the machine's network stack."""
        try:
            await self._client.publish(packet.topic, packet.payload, packet.qos, retain=False)
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Hear these, at QoS 1; returns when the broker has said yes, and has read all that was published before."""
        try:
            granted = await self._client.subscribe([(topic, 1) for topic in topics])
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error
        codes = [code if isinstance(code, int) else code.value for code in granted]
        refused = [topic for topic, code in zip(topics, codes, strict=True) if code > 2]
        if refused:
            raise LinkLost(f"the broker does not let us hear {', '.join(refused)}")

    async def heard(self) -> AsyncIterator[Heard]:
        """What comes in, for as long as the connection lasts."""
        try:
            async for message in self._client.messages:
                body = message.payload if isinstance(message.payload, bytes) else b""
                yield Heard(str(message.topic), body, bool(message.retain))
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error.__cause__ or error)) from error


@asynccontextmanager
async def connect(
    broker: Broker, client_id: str, will: Packet | None, account: Account | None = None
) -> AsyncIterator[Connection]:
    """A clean session with this last will, if any; ``account`` instead of the broker's file of credentials.

    Raises LinkLost, or OSError when one of our files cannot be read.
    """
    known = account or await asyncio.to_thread(_credentials, broker)
    try:
        async with aiomqtt.Client(
            broker.host,
            broker.port,
            username=None if known is None else known.user,
            password=None if known is None else known.password,
            identifier=client_id,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, will.qos, retain=False),
            tls_context=await asyncio.to_thread(_tls_context, broker),
            max_queued_incoming_messages=HEARD_MAX,
        ) as client:
            yield Connection(client)
    except aiomqtt.MqttError as error:
        raise LinkLost(str(error)) from error


def _credentials(broker: Broker) -> Account | None:
    if broker.credentials_file is None:
        return None
    lines = Path(broker.credentials_file).read_text(encoding="utf-8").split("\n")
    if len(lines) < 2 or not lines[0].strip() or not lines[1].strip():
        raise LinkLost(f"{broker.credentials_file}: expected a user and a password, a line each")
    return Account(lines[0].strip(), lines[1].strip())


def _tls_context(broker: Broker) -> ssl.SSLContext | None:
    if not broker.tls:
        return None
    context = ssl.create_default_context(cafile=broker.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.cert_file is not None:
        context.load_cert_chain(broker.cert_file, broker.key_file)
    return context
