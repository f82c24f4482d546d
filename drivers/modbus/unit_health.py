"""What a line knows about each unit behind it, so that a sick one costs the others little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.modbus.codec import READ_HOLDING, READ_INPUT, ExceptionAnswer, Request, read_registers

PROBE_REST = 4.0
"""A line with healthy units rests this many times as long as the last failure took before it asks a sick unit again:
looking for the lost takes at most a fifth of its time, however many are lost. A unit that is refused for the moment now
and then rests by itself for so long, and takes no more of it."""
OWED_MAX = 16
"""RTU requests of a unit whose answers may still come; older ones are no more than a guess."""
ABSENT = (10, 11)
"""Exceptions by which a gateway says that nothing answers behind it; it may take its time to find out."""
PASSING = (5, 6, *ABSENT)
"""Exceptions that are about the moment and not about what was asked."""
ABSENT_MIN = 2
"""So many of them in a row make a unit suspect: one alone may be a register that this device does not have."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pause before the n-th attempt in a row without a good answer: doubled from first to cap, seconds."""

    first_s: float = 0.1
    cap_s: float = 2.0

    def pause_s(self, failures: int) -> float:
        """Seconds to wait after ``failures`` consecutive failures."""
        return min(self.cap_s, self.first_s * 2.0 ** (min(failures, 32) - 1)) if failures else 0.0


@dataclass(slots=True)
class UnitHealth:
    """``failures`` in a row, not to be asked before ``not_before`` (loop time), because of ``fault``.

    ``owed`` are the RTU requests that failed: their answers may still come, and carry no transaction id. ``told`` is
    the last answer: to which request, and what. ``absences`` counts what a gateway said of a unit that is not there.
    Before ``rests_until`` (loop time) no poll of it begins where others want the line: it was refused, and slowly.
    """

    failures: int = 0
    not_before: float = 0.0
    fault: str = ""
    answered: bool = False
    owed: tuple[Request, ...] = ()
    told: tuple[bytes, bytes] = (b"", b"")
    absences: int = 0
    rests_until: float = 0.0
    put_off_at: float = 0.0
    refuted: int = 0
    """How often in a row something else answered than what is configured."""

    @property
    def healthy(self) -> bool:
        """True when the last request was answered."""
        return self.answered and not self.failures

    def failed(self, fault: str, until: float) -> None:
        """Nothing is asked before ``until`` (loop time)."""
        self.failures += 1
        self.fault = fault
        self.not_before = until

    def owes(self, request: Request) -> None:
        """No answer to an RTU ``request`` was taken."""
        self.owed = (*self.owed, request)[-OWED_MAX:]

    def answer(self) -> None:
        """The unit answered, if only to refuse."""
        self.failures = self.absences = 0
        self.answered = True
        self.owed = ()

    def put_off(self, fault: str, started: float, now: float) -> None:
        """A request begun at ``started`` was refused for the moment; every one of a poll adds to the rest after it."""
        took_s = now - max(started, self.put_off_at)
        self.rests_until = max(self.rests_until, now) + PROBE_REST * took_s
        self.put_off_at, self.fault = now, fault

    def absent(self) -> bool:
        """A gateway says that the unit does not answer; True when it has said so too often to be asked on."""
        self.absences += 1
        return self.absences >= ABSENT_MIN

    def repeats(self, request: Request, data: bytes) -> bool:
        """True when the answer to ``request`` is byte for byte the last one, which was to another request."""
        last, self.told = self.told, (request.pdu, data)
        return bool(data) and last[0] != request.pdu and last[1] == data


def step_request(unit: int, owed: Sequence[Request], following: Request) -> Request:
    """A small read whose answer cannot be mistaken: neither for one that is owed nor for that to the request after it.

    A refusal is as good a proof, unless it is a passing one.
    """
    last = owed[-1] if owed else following
    function = last.function if last.function in (READ_HOLDING, READ_INPUT) else READ_HOLDING
    taken = {int.from_bytes(request.pdu[3:5], "big") for request in (*owed, following)}
    count = next(number for number in range(1, OWED_MAX + 3) if number not in taken)
    address = int.from_bytes(last.pdu[1:3], "big")
    return read_registers(unit, function, min(address, 65536 - count), count)


def is_proof(fault: Exception) -> bool:
    """True when the fault of a step request is a refusal of the request itself, which proves as much as its answer."""
    return isinstance(fault, ExceptionAnswer) and fault.code not in PASSING
