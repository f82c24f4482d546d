"""The identity of a healthy device read again between two of its polls, by callbacks and inside one turn of its line.

Done while the last proof still holds, so that a poll neither waits for it nor takes the way of the sick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.modbus.codec import ExceptionAnswer
from drivers.modbus.device import ModbusDevice
from drivers.modbus.link import Link, LinkError
from drivers.modbus.proof import IdentityError, Proof
from drivers.modbus.unit_health import PASSING


class QuickProof:
    """Reads every proof, one after the other; used again and again.

    Whatever goes wrong is held against the unit as with any other request, and leaves the old proof to run out.
    """

    __slots__ = ("_begun_s", "_device", "_generation", "_link", "_next", "_proved", "_started", "_timer")

    def __init__(self, device: ModbusDevice, proved: Callable[[float], object]) -> None:
        """``proved`` gets the time (site seconds) at which the identity has been proved again."""
        self._device = device
        self._proved = proved
        self._next = self._generation = 0
        self._begun_s = self._started = 0.0
        self._link = Link(rtu=False)  # none yet: it is not usable
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, link: Link, now_s: float) -> None:
        """Take the turn of ``link``, which must be free; ``now_s`` in site seconds."""
        session = self._device.session
        session.turns.busy = True
        self._link, self._begun_s = link, now_s
        self._next, self._generation = 0, session.generation
        self._ask_after(session.quiet_until - asyncio.get_running_loop().time())

    def _ask_after(self, pause_s: float) -> None:
        if pause_s > 0.0:
            asyncio.get_running_loop().call_later(pause_s, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        session, link, loop = self._device.session, self._link, asyncio.get_running_loop()
        request = self._device.proofs.asked[self._next].request
        self._started = loop.time()
        self._timer = loop.call_later(self._device.timeout_s, link.expire)
        link.begin(request, session.next_transaction(), self._answered)

    def _answered(self, found: bytes | Exception) -> None:
        if self._timer is not None:
            self._timer.cancel()
        session, proof = self._device.session, self._device.proofs.asked[self._next]
        if isinstance(found, bytes):
            session.counters.answers += 1
            self._check(proof, found)
        elif isinstance(found, ExceptionAnswer):
            session.refused(proof.request, found, self._started)
            if proof.may_lack and found.code not in PASSING:
                self._check(proof, b"")
            else:
                session.end_turn()
        elif isinstance(found, LinkError):
            self._device.proofs.unheard(proof, found)
            session.fail_turn(proof.request, found, self._started)
            session.end_turn()

    def _check(self, proof: Proof, data: bytes) -> None:
        try:
            self._device.check(proof, data)
        except IdentityError:
            self._device.session.end_turn()  # the next poll says why
        else:
            self._go_on()

    def _go_on(self) -> None:
        device = self._device
        self._next += 1
        if self._next < len(device.proofs.asked):
            self._ask_after(device.session.turnaround_s)
            return
        device.proved(self._generation, self._begun_s)
        device.session.end_turn()
        self._proved(device.session.now_s())
