"""What a line knows about each unit behind it, so that a sick one costs the others little."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.modbus.codec import READ_HOLDING, READ_INPUT, Request, read_registers

PROBE_REST = 4.0
"""A line with healthy units rests this many times as long as the last failure took before it asks a sick unit again:
looking for the lost takes at most a fifth of its time, however many are lost."""


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

    ``late`` is the last RTU request that failed: its answer may still come and carries no transaction id.
    """

    failures: int = 0
    not_before: float = 0.0
    fault: str = ""
    answered: bool = False
    late: Request | None = None

    @property
    def healthy(self) -> bool:
        """True when the last request was answered."""
        return self.answered and not self.failures

    def failed(self, fault: str, until: float) -> None:
        """Nothing is asked before ``until`` (loop time)."""
        self.failures += 1
        self.fault = fault
        self.not_before = until

    def answer(self) -> None:
        """The unit answered, if only to refuse."""
        self.failures = 0
        self.answered = True
        self.late = None


def step_request(late: Request) -> Request:
    """A small read whose answer cannot be mistaken for the answer to ``late``; a refusal is as good a proof."""
    function = late.function if late.function in (READ_HOLDING, READ_INPUT) else READ_HOLDING
    address, count = int.from_bytes(late.pdu[1:3], "big"), int.from_bytes(late.pdu[3:5], "big")
    shorter = 2 if late.function == function and count == 1 else 1
    return read_registers(late.unit, function, min(address, 65536 - shorter), shorter)
