"""What waits in the memory, out to its recipients by HTTPS POST, again and again until it has arrived or is too late.

A message keeps its id over all attempts, so that whoever gets it twice can tell. 200 and a plain refusal (4xx, but for
404, 408 and 429) are final; everything else is tried again, each time after twice as long (UFTP 3.1, "Transmission").
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from controller.balancing.uftp.market import Participant
from controller.balancing.uftp.memory import Said
from controller.ports import Clock

_log = structlog.get_logger()

ATTEMPT_S = 10.0
WAIT_FIRST_S, WAIT_MOST_S = 2.0, 300.0
LOOK_S = 30.0  # at least so often: an answer may be overdue
TRY_AGAIN = (404, 408, 429)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Undelivered(Exception):
    """It did not arrive; ``final`` when trying again would not help."""

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final


@dataclass(slots=True)
class _Trouble:
    """How long to leave a recipient alone."""

    wait_s: float
    until_s: float


class Sender:
    """Sends until cancelled. ``ask`` reaches the memory's thread: what waits, and how an attempt went."""

    def __init__(
        self,
        waiting: Callable[[], Awaitable[list[Said]]],
        attempted: Callable[[str, str], Awaitable[None]],
        seal: Callable[[bytes], bytes],
        participants: Callable[[], Mapping[str, Participant]],
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        """``tls`` is asked for every message. Raises OSError for files that cannot be used."""
        self._waiting, self._attempted, self._seal = waiting, attempted, seal
        self._participants, self._clock, self._tls = participants, clock, tls
        self._more = asyncio.Event()
        self._troubles: dict[str, _Trouble] = {}

    def wake(self) -> None:
        """Something new waits."""
        self._more.set()

    async def run(self) -> None:
        """Never returns; an order is kept per recipient, one that is away holds nobody else up."""
        while True:
            self._more.clear()
            await self.send_waiting(self._clock.utc().timestamp())
            wait_s = min((t.until_s for t in self._troubles.values()), default=float("inf")) - self._clock.now_s()
            try:
                async with asyncio.timeout(self._clock.real_s(min(max(wait_s, 0.1), LOOK_S))):
                    await self._more.wait()
            except TimeoutError:
                continue

    async def send_waiting(self, now_utc_s: float) -> None:
        """One round over everything that waits."""
        held_up: set[str] = set()
        for said in await self._waiting():
            if said.until_utc_s <= now_utc_s:
                await self._attempted(said.message_id, "given up: too late")
                _log.warning("market.undelivered", to=said.recipient, kind=said.kind, reason="too late")
            elif said.recipient not in held_up and not await self._tried(said):
                held_up.add(said.recipient)

    async def _tried(self, said: Said) -> bool:
        """Whether the recipient's next message may be tried."""
        trouble = self._troubles.get(said.recipient)
        if trouble is not None and self._clock.now_s() < trouble.until_s:
            return False
        try:
            await asyncio.to_thread(self._post, said)
        except Undelivered as error:
            return await self._failed(said, error)
        if self._troubles.pop(said.recipient, None) is not None:
            _log.info("link.recovered", to=said.recipient)
        await self._attempted(said.message_id, "delivered")
        return True

    async def _failed(self, said: Said, error: Undelivered) -> bool:
        await self._attempted(said.message_id, f"given up: {error}" if error.final else "")
        if error.final:
            _log.warning("market.undelivered", to=said.recipient, kind=said.kind, reason=str(error))
            return True
        before = self._troubles.get(said.recipient)
        if before is None:
            _log.warning("link.lost", to=said.recipient, reason=str(error))
        wait_s = WAIT_FIRST_S if before is None else min(2.0 * before.wait_s, WAIT_MOST_S)
        self._troubles[said.recipient] = _Trouble(wait_s, self._clock.now_s() + wait_s)
        return False

    def _post(self, said: Said) -> None:
        """One attempt, beside the loop. Raises Undelivered."""
        who = self._participants().get(said.recipient)
        if who is None:
            raise Undelivered("no such participant any more", final=True)
        try:
            connection, path = self._connection(who.endpoint)
        except OSError as error:
            raise Undelivered(f"our certificates: {type(error).__name__}: {error}", final=False) from error
        try:
            connection.request(
                "POST",
                path,
                self._seal(said.payload),
                {"Content-Type": "text/xml; charset=utf-8", "Connection": "close"},
            )
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered(f"{type(error).__name__}: {error}", final=False) from error
        finally:
            connection.close()
        if status != 200:
            final = 400 <= status < 500 and status not in TRY_AGAIN
            raise Undelivered(f"HTTP {status}", final=final)

    def _connection(self, endpoint: str) -> tuple[http.client.HTTPConnection, str]:
        """Plain HTTP is for loopback alone."""
        url = urlsplit(endpoint)
        host = url.hostname or ""
        if url.scheme == "https":
            return http.client.HTTPSConnection(host, url.port, timeout=ATTEMPT_S, context=self._tls()), url.path
        if url.scheme == "http" and host in LOOPBACK:
            return http.client.HTTPConnection(host, url.port, timeout=ATTEMPT_S), url.path
        raise Undelivered(f"{endpoint}: expected https", final=True)
