"""Which of our messages arrived and were never answered, and when to say them again. No clock; used by one thread.

A copy under the same id is harmless: whoever took the message answers it again, "Already Submitted" (UFTP 3.1, "Message
validation"), and acts on it no second time. So an answer that was lost on its way, or while nobody listened, comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.balancing.uftp.memory import Said

KINDS = ("FlexOrder", "FlexReservationUpdate")
"""What must not stay open: nothing is delivered, or released, before it is answered."""
FIRST_S, MOST_S = 60.0, 1800.0


@dataclass(slots=True)
class _Wait:
    wait_s: float
    until_s: float


class Reminders:
    """After a minute, then each time after twice as long."""

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}

    def due(self, unanswered: Sequence[Said], now_s: float) -> list[Said]:
        """Those to be said again at ``now_s`` (monotonic seconds)."""
        self._waits = {said.message_id: self._wait(said.message_id, now_s) for said in unanswered}
        due = [said for said in unanswered if self._waits[said.message_id].until_s <= now_s]
        for said in due:
            wait = self._waits[said.message_id]
            wait.wait_s = min(2.0 * wait.wait_s, MOST_S)
            wait.until_s = now_s + wait.wait_s
        return due

    def _wait(self, message_id: str, now_s: float) -> _Wait:
        found = self._waits.get(message_id)
        return _Wait(FIRST_S, now_s + FIRST_S) if found is None else found
