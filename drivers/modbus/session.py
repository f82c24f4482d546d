"""One connection to one Modbus device: one request in flight, writes before reads, no retries.

Any time-out, cancellation, mismatch or stray byte closes the connection, because nothing that arrives afterwards can
be told apart from an answer to the next request. A lost connection fails the pending request at once. All durations
here are machine seconds; only the stamps of a :class:`Reply` are in the site's time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.modbus.codec import ExceptionAnswer, Request
from drivers.modbus.link import Link, LinkError, connect


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the device listens; ``rtu`` frames as RTU inside TCP (a transparent serial gateway)."""

    host: str
    port: int
    rtu: bool = False

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """From ``host:port``, ``tcp://host:port``, ``rtu+tcp://host:port`` or ``[v6]:port``; ValueError otherwise."""
        scheme, separator, rest = text.rpartition("://")
        host, _, port = rest.rpartition(":")
        good_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
        if (separator and scheme not in ("tcp", "rtu+tcp")) or not host or not good_port:
            raise ValueError(
                f"endpoint is {text!r}; expected host:port or rtu+tcp://host:port with a port of 1 to 65535"
            )
        return cls(host.removeprefix("[").removesuffix("]"), int(port), rtu=scheme == "rtu+tcp")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pause before the n-th new connection in a row without a good answer: doubled from first to cap, seconds."""

    first_s: float = 0.1
    cap_s: float = 2.0

    def pause_s(self, failures: int) -> float:
        """Seconds to wait after ``failures`` consecutive failures."""
        return min(self.cap_s, self.first_s * 2.0 ** (min(failures, 32) - 1)) if failures else 0.0


@dataclass(slots=True)
class Counters:
    """What happened on a connection since start; ``rejected`` counts refused frames by reason."""

    answers: int = 0
    exceptions: int = 0
    timeouts: int = 0
    connects: int = 0
    losses: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Reply:
    """The data bytes of an answer and when its request was sent and it was complete (site seconds)."""

    data: bytes
    sent_s: float
    received_s: float


class Session:
    """Sends requests one at a time; see the module text. Use from one event loop only."""

    def __init__(
        self,
        endpoint: Endpoint,
        now_s: Callable[[], float],
        *,
        backoff: Backoff | None = None,
        turnaround_s: float = 0.0,
        settle_s: float = 0.0,
        user_timeout_s: float = 2.0,
        rng: random.Random | None = None,
    ) -> None:
        """``settle_s``: listen and discard this long on a new connection (RTU answers carry no transaction id)."""
        self.counters = Counters()
        self.generation = 0
        self._endpoint = endpoint
        self._now_s = now_s
        self._backoff = backoff if backoff is not None else Backoff()
        self._turnaround_s = turnaround_s
        self._settle_s = settle_s
        self._user_timeout_s = user_timeout_s
        # Not for secrecy: a random start makes answers left over from an earlier process unlikely to match.
        self._transaction = (rng if rng is not None else random.Random()).randrange(1, 0x10000)
        self._turns: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())
        self._busy = False
        self._closed = False
        self._link: Link | None = None
        self._dying: asyncio.Future[None] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._quiet_until = 0.0
        self._last_fault = ""

    @property
    def up(self) -> bool:
        """True while there is a connection on which nothing unexpected has happened."""
        return self._link is not None and self._link.usable

    async def request(
        self, request: Request, deadline: float, *, generation: int | None = None, urgent: bool = False
    ) -> Reply:
        """Send ``request`` and wait for its answer until ``deadline`` (loop time), queueing and connecting included.

        With ``generation`` it is sent on that very connection or not at all. Raises :class:`ExceptionAnswer` (the
        device refused) or :class:`LinkError` (no valid answer).
        """
        await self._take_turn(deadline, urgent)
        try:
            return await self._exchange(request, deadline, generation)
        finally:
            self._pass_turn()

    async def connected(self, deadline: float, *, urgent: bool = False) -> int:
        """Make sure that there is a connection; returns its number (``generation``). Raises :class:`LinkError`."""
        await self._take_turn(deadline, urgent)
        try:
            await self._connect(deadline)
            return self.generation
        finally:
            self._pass_turn()

    def drop(self, reason: str) -> None:
        """Close the connection because what it delivers cannot be trusted."""
        if self._link is not None:
            self._blame(LinkError(reason, "dropped"))

    async def aclose(self) -> None:
        """Close for good; pending requests fail with :class:`LinkError`."""
        self._closed = True
        if self._link is not None:
            self._blame(LinkError("the session was closed", "closed"))
        await self._bury()

    async def _exchange(self, request: Request, deadline: float, generation: int | None) -> Reply:
        link = await self._connect(deadline)
        if generation is not None and generation != self.generation:
            raise LinkError("the connection was renewed in between", "renewed")
        await self._keep_quiet(deadline)
        self._transaction = self._transaction % 0xFFFF + 1
        sent_s = self._now_s()
        try:
            data = await link.exchange(request, self._transaction, deadline)
        except ExceptionAnswer:
            self.counters.exceptions += 1
            self._failures = 0
            raise
        except LinkError as fault:
            self._blame(fault)
            raise
        except asyncio.CancelledError:
            self._blame(LinkError("the request was cancelled", "cancelled"))
            raise
        finally:
            self._quiet_until = asyncio.get_running_loop().time() + self._turnaround_s
        self.counters.answers += 1
        self._failures = 0
        return Reply(data, sent_s, self._now_s())

    async def _keep_quiet(self, deadline: float) -> None:
        """Wait until the device may be asked again, unless that is too late anyhow."""
        loop = asyncio.get_running_loop()
        pause = self._quiet_until - loop.time()
        if pause > 0.0:
            if loop.time() + pause >= deadline:
                raise LinkError(f"the line is kept quiet for another {pause:.1f} s", "quiet")
            await asyncio.sleep(pause)

    async def _connect(self, deadline: float) -> Link:
        if self._closed:
            raise LinkError("the session was closed", "closed")
        if self._link is not None and self._link.usable:
            return self._link
        await self._bury()
        loop = asyncio.get_running_loop()
        wait_s = self._not_before - loop.time()
        if wait_s > 0.0:
            raise LinkError(f"next connection in {wait_s:.1f} s, after: {self._last_fault}", "back-off")
        where = self._endpoint
        try:
            link = await connect(where.host, where.port, where.rtu, deadline, self._user_timeout_s)
        except LinkError as fault:
            self._blame(fault)
            raise
        self._link = link
        self.counters.connects += 1
        self.generation += 1
        link.discard_until = self._quiet_until = loop.time() + self._settle_s
        return link

    async def _bury(self) -> None:
        """Wait for the end of the old connection (never two to one device); count it if it died between requests."""
        if self._link is not None:
            self._blame(self._link.fault or LinkError("the connection was lost", "lost"))
        if self._dying is not None:
            await asyncio.shield(self._dying)
            self._dying = None

    def _blame(self, fault: LinkError) -> None:
        """Count the fault, end the connection and set the time of the next one."""
        self._failures += 1
        self._last_fault = str(fault)
        self._not_before = asyncio.get_running_loop().time() + self._backoff.pause_s(self._failures)
        if fault.reason == "timeout":
            self.counters.timeouts += 1
        elif fault.reason in ("lost", "refused"):
            self.counters.losses += 1
        else:
            self.counters.rejected[fault.reason] += 1
        link, self._link = self._link, None
        if link is not None:
            link.abort(fault)
            self._dying = link.closed

    async def _take_turn(self, deadline: float, urgent: bool) -> None:
        if not self._busy:
            self._busy = True
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._turns[0 if urgent else 1].append(turn)
        timer = loop.call_at(deadline, _give_up, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_turn()
            raise
        finally:
            timer.cancel()

    def _pass_turn(self) -> None:
        for queue in self._turns:
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._busy = False


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(LinkError("the connection was busy with another request", "timeout"))
