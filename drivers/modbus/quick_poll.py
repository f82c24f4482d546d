"""One poll of one healthy device by callbacks, start to end inside one turn of its line."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial

from drivers.modbus.codec import ExceptionAnswer
from drivers.modbus.device import ModbusDevice
from drivers.modbus.link import Done, Link, LinkError
from drivers.modbus.quick_proof import QuickProof

PROVE_AFTER_FRAC = 0.5
"""The identity is read again when its last proof is this part of its life old: in good time, so that no poll waits."""


class QuickPoll:
    """Asks for every block, at most ``outstanding_max`` at a time; used again and again.

    After the end ``answers`` holds the data of every block, or the refusal that came instead, ``refused`` how many of
    those there are, and ``fault`` why the poll ended early, if it did. ``sent_s`` is in site seconds. The next
    :meth:`start` writes over ``answers``.
    """

    __slots__ = (
        *("answers", "checked_s", "device", "fault", "generation", "id", "prove_from_s", "refused", "running"),
        *("sent_s", "started", "_alone", "_asked_s", "_depth", "_done", "_fresh_until_s", "_health", "_link"),
        *("_next", "_open", "_proof", "_requests", "_session", "_takers", "_turns"),
    )

    def __init__(self, device: ModbusDevice, done: Callable[[QuickPoll], None]) -> None:
        self.device = device
        self.id = device.id
        self.running = False
        self.started = 0.0
        self.refused = 0
        self.generation, self.checked_s = device.identified
        self.answers: list[bytes | Exception | None] = [None]
        self.sent_s: Sequence[float] = ()
        self.fault: LinkError | None = None
        self._session = device.session
        self._turns = self._session.turns
        self._health = device.session.health(device.unit_address)
        self._requests = [request for request, _ in device.reads]
        self._takers: list[Done] = [partial(self._answered, index) for index in range(len(self._requests))]
        self._alone = self._requests[0] if len(self._requests) == 1 else None
        self._depth = device.profile.read.outstanding_max
        self._done = done
        self._link = Link(rtu=False)  # none yet: it is not usable
        self._proof = QuickProof(device, self._proven_link)
        self.prove_from_s = math.inf
        """When :meth:`prove` is to be called (site seconds); read only."""
        self._fresh_until_s = -math.inf
        self._asked_s: list[float] = []
        self._next = self._open = 0

    def start(self, now: float, now_s: float, sent_s: Sequence[float]) -> bool:
        """Begin at ``now`` (loop time), ``now_s`` (site seconds); False when the device needs its own poll.

        ``sent_s`` is ``(now_s,)``, one for all polls that begin together.
        """
        link, turns, session = self._link, self._turns, self._session
        if not link.usable or now_s >= self._fresh_until_s:
            found = self._proven_link(now_s)
            if found is None:
                return False
            link = self._link = found
        health = self._health
        if turns.busy or health.failures or health.rests_until > now or session.quiet_until > now:
            return False
        turns.busy = self.running = True
        self.started, self.refused, self.fault = now, 0, None
        if self._alone is not None:
            self.sent_s = sent_s
            link.begin(self._alone, session.next_transaction(), self._only_answer)
            return True
        blocks = len(self._requests)
        self.answers, self._asked_s = [None] * blocks, [now_s] * blocks
        self.sent_s = self._asked_s
        self._next = self._open = 0
        self._ask(link, now_s)
        return True

    def ready(self, now_s: float) -> bool:
        """True when the next :meth:`start` will begin, unless somebody else has the line then."""
        return not self._health.failures and self._proven_link(now_s) is not None

    def _only_answer(self, found: bytes | Exception) -> None:
        """The answer to the only block; what is not simply good takes the long way."""
        if found.__class__ is bytes:
            self.running = False
            self.answers[0] = found
            self._session.end_turn()
            self._done(self)
        elif self.running:
            self._next = self._open = 1
            self._answered(0, found)

    def _proven_link(self, now_s: float) -> Link | None:
        """The present connection, if it frames for TCP and the device behind it has proved lately what it is."""
        device, link = self.device, self._session.link
        fresh = device.identity_is_fresh(now_s)
        if link is None or not link.usable or link.rtu or not fresh or not self._health.answered:
            return None
        self.generation, self.checked_s = device.identified
        self._fresh_until_s = self.checked_s + device.identity_lasts_s
        self.prove_from_s = self.checked_s + PROVE_AFTER_FRAC * device.identity_lasts_s
        return link

    def prove(self, now_s: float) -> None:
        """Have the identity read again between two polls, if the line is free now (``now_s``: site seconds)."""
        link = self._proven_link(now_s)
        if link is None or now_s < self.prove_from_s:
            return
        self.prove_from_s = now_s + 0.5 * (self._fresh_until_s - now_s)  # unless it succeeds before
        if not (self.running or self._turns.busy or self._health.failures):
            self._proof.begin(link, now_s)

    @property
    def healthy(self) -> bool:
        """True when the last request was answered, however long ago."""
        return self._health.healthy

    def expire(self) -> None:
        """The time of the poll is up."""
        self._link.expire()

    def _ask(self, link: Link, now_s: float) -> None:
        requests, takers = self._requests, self._takers
        while self._open < self._depth and self._next < len(requests) and self.running:
            index = self._next
            self._next += 1
            self._open += 1
            self._asked_s[index] = now_s
            link.begin(requests[index], self._session.next_transaction(), takers[index])

    def _answered(self, index: int, found: bytes | Exception) -> None:
        if not self.running:
            return
        self._open -= 1
        self.answers[index] = found
        if found.__class__ is not bytes:
            if isinstance(found, LinkError):
                self._fail(index, found)
                return
            self.refused += 1
            if isinstance(found, ExceptionAnswer):
                self._session.refused(self._requests[index], found, self.started)
        if self._next < len(self._requests):
            self._go_on()
        elif not self._open:
            self._end()

    def _go_on(self) -> None:
        pause_s = self._session.turnaround_s
        if pause_s > 0.0:
            asyncio.get_running_loop().call_later(pause_s, self._ask_again, self.started)
        else:
            self._ask_again(self.started)

    def _ask_again(self, started: float) -> None:
        if self.running and started == self.started:
            self._ask(self._link, self._session.now_s())

    def _fail(self, index: int, fault: LinkError) -> None:
        self.fault = fault
        self.answers[index] = None
        self._session.fail_turn(self._requests[index], fault, self.started)
        self._end()

    def _end(self) -> None:
        self.running = False
        self._session.end_turn()
        self._done(self)
