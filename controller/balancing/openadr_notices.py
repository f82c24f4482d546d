"""OpenADR 3.1 notifications by MQTT: a hint that something has changed, nothing more. Station process only.

Where the broker is and what to listen to is asked of the platform (Definition 3.1.0, "Notifications via Additional
Protocols"). What a notification says is never read: it makes the next poll come at once, and the poll says what is so.
Without a broker, polling goes on as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from controller.balancing.https import LinkError, credentials
from controller.balancing.mqtt.connection import Account, Connection, connect
from controller.balancing.mqtt.link_lost import end_if_cancelled
from controller.balancing.openadr.models import MqttBinding, Notifiers, Program, Topics, parse
from controller.balancing.openadr.strict_json import Malformed
from controller.balancing.vtn_client import VtnClient
from controller.domain.platform import Platform
from controller.domain.telemetry import Broker
from controller.ports import Clock

_log = structlog.get_logger()

SESSION_S = 3600.0
"""So long one connection lasts at most: then token and topics are asked for anew."""
BACKOFF_S, BACKOFF_S_MAX = 5.0, 300.0
TOPICS_MAX = 200
PORTS = {"mqtts": 8883, "mqtt": 1883}
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Connect = Callable[[Broker, str, None, Account | None], AbstractAsyncContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class Found:
    """Where to listen, as whom, and to what."""

    broker: Broker
    account: Account | None
    topics: tuple[str, ...]


class Notices:
    """One site's ear at its platform's broker; ``hint`` is called whenever something may have changed."""

    def __init__(
        self, platform: Platform, clock: Clock, hint: Callable[[], None], open_connection: Connect = connect
    ) -> None:
        self._platform, self._clock, self._hint = platform, clock, hint
        self._open_connection = open_connection
        self._trouble = ""
        self._up = False

    async def run(self) -> None:
        """Listen until cancelled; more rarely while nobody can be heard."""
        failures = 0
        while True:
            # A task of its own: in Python 3.11 a group that was cancelled leaves its task looking cancelled for ever.
            heard = await asyncio.create_task(self._attempt(), name="notices session")
            end_if_cancelled()
            failures = 0 if heard else failures + 1
            await asyncio.sleep(self._clock.real_s(min(BACKOFF_S * 2.0 ** min(failures, 10), BACKOFF_S_MAX)))

    async def _attempt(self) -> bool:
        """One connection from its beginning to its end; whether anything could be heard."""
        heard = False
        try:
            found = await self.find()
            ours = f"gridedge-{self._platform.link.ven_name}"
            async with self._open_connection(found.broker, ours, None, found.account) as connection:
                await connection.subscribe(found.topics)
                heard = True
                self._recovered(found.broker)
                self._hint()  # what changed while nobody listened
                async with asyncio.timeout(self._clock.real_s(SESSION_S)):
                    async for _ in connection.heard():
                        self._hint()
                self._lost("the broker hung up")
        except TimeoutError:
            return heard
        except (OSError, Malformed) as error:
            self._lost(str(error))
        return heard

    async def find(self) -> Found:
        """Ask the platform. Raises LinkError, Malformed."""
        async with VtnClient(self._platform.link, self._clock) as client:
            binding = parse(Notifiers, await client.one("/notifiers")).MQTT
            if binding is None:
                raise LinkError("the platform does not notify by MQTT; polling goes on")
            programs = [parse(Program, x) for x in await client.everything("/programs")]
            names = {issuer.programme for issuer in self._platform.issuers}
            topics: list[str] = []
            for program in programs:
                if program.programName in names:
                    path = f"/notifiers/mqtt/topics/programs/{program.id}/events"
                    topics += parse(Topics, await client.one(path)).wanted
            if not 0 < len(topics) <= TOPICS_MAX:
                raise LinkError(f"the platform names {len(topics)} topics; expected 1…{TOPICS_MAX}")
            return Found(self._broker(binding), await self._account(binding, client), tuple(topics))

    def _broker(self, binding: MqttBinding) -> Broker:
        """The first address that may be used: TLS, or this machine."""
        link = self._platform.link
        for text in binding.URIS:
            uri = urlsplit(text)
            host, secure = uri.hostname or "", uri.scheme == "mqtts"
            if host and (secure or (uri.scheme == "mqtt" and host in LOOPBACK)):
                port = uri.port or PORTS[uri.scheme]
                return Broker(host, port, secure, None, link.ca_file, link.cert_file, link.key_file)
        raise LinkError(f"the platform's brokers are {', '.join(binding.URIS)[:200]}; expected one by mqtts")

    async def _account(self, binding: MqttBinding, client: VtnClient) -> Account | None:
        """User and password; the token of the platform is shown to nobody but the broker that it names, by TLS."""
        method = binding.authentication.method
        if method == "OAUTH2_BEARER_TOKEN":
            client_id, _ = await asyncio.to_thread(credentials, Path(self._platform.link.credentials_file))
            named = binding.authentication.username or "{clientID}"
            return Account(named.replace("{clientID}", client_id), await client.token())
        if method == "CERTIFICATE" and self._platform.link.cert_file is None:
            raise LinkError("the platform's broker asks for a certificate; expected platform.cert_file")
        return None

    def _recovered(self, broker: Broker) -> None:
        _log.info("platform.notified", to=f"{broker.host}:{broker.port}")
        self._up, self._trouble = True, ""

    def _lost(self, reason: str) -> None:
        if self._up or reason != self._trouble:
            _log.warning("platform.not_notified", reason=reason)
        self._up, self._trouble = False, reason
