"""One line to one or more Modbus units: one turn at a time, writes before reads, no retries.

Any time-out, cancellation, mismatch or stray byte closes a TCP or TLS connection, because nothing that arrives
afterwards can be told apart from an answer to the next request; on RTU a unit that was late is first brought back into
step. A lost connection fails the pending request at once. What goes wrong with a unit is held against that unit, so
that the others behind the same line are asked on. All durations here are machine seconds; only the stamps of a
:class:`Reply` are in the site's time.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.modbus.codec import ExceptionAnswer, Request
from drivers.modbus.connect import Connector
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link, LinkError
from drivers.modbus.serial_port import RESYNC_S
from drivers.modbus.turns import Turns
from drivers.modbus.unit_health import ABSENT, PASSING, PROBE_REST, Backoff, UnitHealth, is_proof, step_request

USER_TIMEOUT_S = 2.0
"""How long TCP waits for an acknowledgement where nobody says otherwise."""


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
        rng: random.Random | None = None,
        connector: Connector | None = None,
    ) -> None:
        """``settle_s``: listen and discard this long on a new connection (RTU answers carry no transaction id)."""
        # What every poll looks at stands together, and is fetched into the cache as one.
        self.counters = Counters()
        self.quiet_until = 0.0
        """Loop time before which nothing is sent; read only."""
        # Not for secrecy: a random start makes answers left over from an earlier process unlikely to match.
        self._transaction = (rng if rng is not None else random.Random()).randrange(1, 0x10000)
        self.turns = Turns()
        self.turnaround_s = turnaround_s
        self.generation = 0
        self.endpoint = endpoint
        self.outstanding_max = 1
        self.now_s = now_s
        self._backoff = backoff if backoff is not None else Backoff()
        self._settle_s = settle_s
        self._connector = connector or Connector(endpoint, USER_TIMEOUT_S)
        self._closed = False
        self.link: Link | None = None
        """The present connection, if any; read only."""
        self._dying: asyncio.Future[None] | None = None
        self._line = UnitHealth()
        self._units: dict[int, UnitHealth] = {}
        self._probe_not_before = 0.0

    @property
    def up(self) -> bool:
        """True while there is a connection on which nothing unexpected has happened."""
        return self.link is not None and self.link.usable

    async def request(
        self,
        request: Request,
        deadline: float,
        *,
        generation: int | None = None,
        urgent: bool = False,
        answer_s: float = math.inf,
    ) -> Reply:
        """Send ``request`` and wait for its answer until ``deadline`` (loop time), queueing and connecting included.

        The answer itself may take ``answer_s`` at most. With ``generation`` the request is sent on that very
        connection or not at all. Raises :class:`ExceptionAnswer` (the device refused) or :class:`LinkError` (no valid
        answer).
        """
        self._refuse_suspect(request.unit)
        await self.turns.take(deadline, urgent)
        try:
            self._refuse_suspect(request.unit)
            return await self._exchange(request, deadline, generation, answer_s)
        finally:
            self.turns.pass_on()

    async def connected(self, deadline: float, *, unit: int | None = None, urgent: bool = False) -> int:
        """Make sure that there is a connection; returns its number (``generation``). Raises :class:`LinkError`.

        With ``unit`` it is refused at once while that unit is in its back-off.
        """
        if unit is not None:
            self._refuse_suspect(unit)
        await self.turns.take(deadline, urgent)
        try:
            await self._connect(deadline)
            return self.generation
        finally:
            self.turns.pass_on()

    def keep_to_share(self, number: int) -> None:
        """LinkError when a poll of this unit would take more of the line than it may, now that it is refused slowly."""
        unit = self._units.get(number)
        if unit is None:
            return
        wait_s = unit.rests_until - asyncio.get_running_loop().time()
        if wait_s > 0.0 and any(other.healthy for other in self._units.values() if other is not unit):
            raise LinkError(f"unit {number} is polled again in {wait_s:.1f} s, after: {unit.fault}", "back-off")
        unit.rests_until = 0.0

    def next_transaction(self) -> int:
        """Transaction id of the next request: 1 to 65535, never 0, which some devices use for every answer."""
        number = self._transaction % 0xFFFF + 1
        self._transaction = number
        return number

    def end_turn(self) -> None:
        """Pass the turn on."""
        if self.turnaround_s:
            self.quiet_until = asyncio.get_running_loop().time() + self.turnaround_s
        if self.turns.waiting:
            self.turns.pass_on()
        else:
            self.turns.busy = False

    def fail_turn(self, request: Request, fault: LinkError, started: float) -> None:
        """``request``, sent in a turn that began at ``started`` (loop time), was not answered; before ``end_turn``."""
        self._give_up(request, fault, started)

    def refused(self, request: Request, refusal: ExceptionAnswer, started: float) -> None:
        """A unit refused, in a turn that began at ``started`` (loop time), or a gateway in its name."""
        self.counters.exceptions += 1
        self._line.answer()
        unit = self.health(request.unit)
        if refusal.code in PASSING:
            unit.put_off(str(refusal), started, asyncio.get_running_loop().time())
        if refusal.code not in ABSENT:
            unit.answer()
        elif unit.absent():
            self._probe_not_before = unit.rests_until
            self._suspect(unit, refusal)
        if self.endpoint.rtu:
            unit.owes(request)  # whoever was busy may answer yet

    def health(self, unit: int) -> UnitHealth:
        """What is known about a unit of this line; the same object for ever."""
        found = self._units.get(unit)
        if found is None:
            found = self._units[unit] = UnitHealth()
        return found

    def drop(self, reason: str, unit: int | None = None) -> None:
        """Close the connection because what it delivers cannot be trusted."""
        if self.link is not None:
            self._blame(LinkError(reason, "dropped"), unit)

    def refute(self, reason: str, unit: int, *, renew: bool) -> None:
        """Something else answers for ``unit`` than what is configured: it rests, longer every time.

        ``renew``: the connection ends too, because the next one may lead elsewhere. Where others use it, it does not:
        what came was an answer to what was asked, and only one of them is in doubt.
        """
        health, fault = self.health(unit), LinkError(reason, "refuted")
        health.refuted += 1
        if renew:
            self._blame(fault, unit)
        else:
            self._count(fault)
            self._suspect(health, fault)
        rest_s = self._backoff.pause_s(health.refuted)
        health.not_before = max(health.not_before, asyncio.get_running_loop().time() + rest_s)

    async def aclose(self) -> None:
        """Close for good; pending requests fail with :class:`LinkError`."""
        self._closed = True
        if self.link is not None:
            self._blame(LinkError("the session was closed", "closed"))
        await self._bury()

    async def _exchange(self, request: Request, deadline: float, generation: int | None, answer_s: float) -> Reply:
        link = await self._connect(deadline)
        if generation is not None and generation != self.generation:
            raise LinkError("the connection was renewed in between", "renewed")
        unit = self.health(request.unit)
        if link.rtu and unit.owed:
            await self._step(link, request, deadline, answer_s)
        reply = await self._send(link, request, deadline, answer_s)
        if link.rtu and unit.repeats(request, reply.data):  # the last answer come twice, or registers that are alike
            await self._step(link, request, deadline, answer_s)
        return reply

    async def _step(self, link: Link, request: Request, deadline: float, answer_s: float) -> None:
        """Prove that what comes next is not an answer to an earlier request of the unit of ``request``."""
        unit = self.health(request.unit)
        probe = step_request(request.unit, unit.owed, request)
        try:
            unit.told = (probe.pdu, (await self._send(link, probe, deadline, answer_s)).data)
        except ExceptionAnswer as refusal:
            if not is_proof(refusal):
                raise  # said of whatever was asked, now or before
            unit.owed = ()

    async def _send(self, link: Link, request: Request, deadline: float, answer_s: float) -> Reply:
        await self._keep_quiet(deadline)
        loop = asyncio.get_running_loop()
        transaction = self.next_transaction()
        sent_s, started = self.now_s(), loop.time()
        try:
            data = await link.exchange(request, transaction, min(deadline, started + answer_s))
        except ExceptionAnswer as refusal:
            self.refused(request, refusal, started)
            raise
        except LinkError as fault:
            self._give_up(request, fault, started)
            raise
        except asyncio.CancelledError:
            self._give_up(request, LinkError("the request was cancelled", "cancelled"), started)
            raise
        finally:
            self.quiet_until = loop.time() + self.turnaround_s
        self.counters.answers += 1
        self._answered(request.unit)
        return Reply(data, sent_s, self.now_s())

    def _answered(self, unit: int) -> None:
        self._line.answer()
        self.health(unit).answer()

    def _give_up(self, request: Request, fault: LinkError, started: float) -> None:
        """An exchange went wrong: the unit is suspect, and on RTU its answer may still come."""
        loop = asyncio.get_running_loop()
        self._probe_not_before = loop.time() + PROBE_REST * (loop.time() - started)
        keeps_link = self.link is not None and self.link.rtu and self.link.usable and fault.reason == "timeout"
        if keeps_link and self.link is not None:
            self._count(fault)
            self._suspect(self.health(request.unit), fault)
            self.link.late[request.unit] = request
        else:
            self._blame(fault, request.unit)
        if self.endpoint.rtu:
            unit = self.health(request.unit)
            unit.owes(request)
            unit.not_before = max(unit.not_before, loop.time() + self._settle_s)

    async def _keep_quiet(self, deadline: float) -> None:
        """Wait until the line may be used again, unless that is too late anyhow."""
        loop = asyncio.get_running_loop()
        pause = self.quiet_until - loop.time()
        if pause > 0.0:
            if loop.time() + pause >= deadline:
                raise LinkError(f"the line is kept quiet for another {pause:.1f} s", "quiet")
            await asyncio.sleep(pause)

    async def _connect(self, deadline: float) -> Link:
        if self._closed:
            raise LinkError("the session was closed", "closed")
        if self.link is not None and self.link.usable:
            return self.link
        await self._bury()
        loop = asyncio.get_running_loop()
        wait_s = self._line.not_before - loop.time()
        if wait_s > 0.0:
            raise LinkError(f"next connection in {wait_s:.1f} s, after: {self._line.fault}", "back-off")
        try:
            link = await self._connector.connect(deadline, self.outstanding_max)
        except LinkError as fault:
            self._blame(fault)
            raise
        self.link = link
        self.counters.connects += 1
        self.generation += 1
        if not self._line.answered:  # later, each unit that was late is brought into step by itself
            link.discard_until = self.quiet_until = loop.time() + self._settle_s
        elif self.endpoint.serial is not None:
            link.discard_until = self.quiet_until = loop.time() + RESYNC_S
        return link

    async def _bury(self) -> None:
        """Wait for the end of the old connection (never two to one device); count it if it died between requests."""
        if self.link is not None:
            fault = self.link.fault or LinkError("the connection was lost", "lost")
            if fault.reason == "lost" and self.link.proven:  # closed between two polls: many devices do when idle
                self._line.answer()
                self._count(fault)
                self._end(fault)
            else:
                self._blame(fault)
        if self._dying is not None:
            await asyncio.shield(self._dying)
            self._dying = None

    def _blame(self, fault: LinkError, unit: int | None = None) -> None:
        """Count the fault, end the connection, and let the unit (or else the line) rest."""
        self._count(fault)
        self._suspect(self._line if unit is None else self.health(unit), fault)
        self._end(fault)

    def _end(self, fault: LinkError) -> None:
        link, self.link = self.link, None
        if link is not None:
            link.abort(fault)
            self._dying = link.closed

    def _count(self, fault: LinkError) -> None:
        if fault.reason == "timeout":
            self.counters.timeouts += 1
        elif fault.reason in ("lost", "refused"):
            self.counters.losses += 1
        else:
            self.counters.rejected[fault.reason] += 1

    def _suspect(self, health: UnitHealth, fault: Exception) -> None:
        pause_s = self._backoff.pause_s(health.failures + 1)
        health.failed(str(fault), asyncio.get_running_loop().time() + pause_s)

    def _refuse_suspect(self, number: int) -> None:
        """LinkError while the unit is to be left alone."""
        unit = self._units.get(number)
        if unit is None or not unit.failures:
            return
        until = unit.not_before
        if any(other.healthy for other in self._units.values()):
            until = max(until, self._probe_not_before)
        wait_s = until - asyncio.get_running_loop().time()
        if wait_s > 0.0:
            raise LinkError(f"unit {number} is asked again in {wait_s:.1f} s, after: {unit.fault}", "back-off")
