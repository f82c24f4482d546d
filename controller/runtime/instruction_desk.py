"""Where instructions wait for the next cycle, and where its answers find those who wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from controller.domain.instruction import Instruction
from controller.domain.record import Event

WAITING_MAX = 16
"""Instructions that one cycle takes; more at once are turned away."""

ANSWERS = {"instruction.accepted": True, "g100.reset": True, "instruction.refused": False}
"""Events of the core that answer an instruction, and whether it was accepted."""

Answer = Callable[[bool, str], None]

KEPT_S = 2.0
"""How long an answer waits for the disk, machine seconds; what was accepted is in force meanwhile."""


class Keeping(Protocol):
    """Where what was accepted is kept over a restart."""

    @property
    def trouble(self) -> str:
        """Why nothing is kept at present; empty when it is."""
        ...

    def unkept(self, timeout_s: float) -> str:
        """Why what was last given to it is not kept after at most so long (blocks); empty when it is."""
        ...


class InstructionDesk:
    """Hands instructions to the core in the order of receipt and its answers back; never waits.

    Without ``keeping`` nobody keeps anything over a restart, and nobody is told so.
    """

    def __init__(self, keeping: Keeping | None = None) -> None:
        self._keeping = keeping
        self._waiting: list[tuple[Instruction, Answer]] = []
        self._asked: dict[str, list[Answer]] = {}

    def submit(self, asked: Instruction, answer: Answer) -> None:
        """Queue for the next cycle; ``answer(accepted, text)`` is called once, soon after."""
        if len(self._waiting) >= WAITING_MAX:
            answer(False, f"{WAITING_MAX} instructions wait already; say it again in a second")
            return
        self._waiting.append((asked, answer))

    def take(self) -> tuple[Instruction, ...]:
        """What this cycle is to judge."""
        taken, self._waiting = self._waiting, []
        for asked, answer in taken:
            self._asked.setdefault(asked.id, []).append(answer)
        why = "" if self._keeping is None or not taken else self._keeping.trouble
        return tuple(replace(asked, unkept=why) if why else asked for asked, _ in taken)

    async def unkept(self) -> str:
        """Why what has just been accepted would not outlive a restart; empty when it would, or when nothing does."""
        return "" if self._keeping is None else await asyncio.to_thread(self._keeping.unkept, KEPT_S)

    def settle(self, events: Iterable[Event]) -> None:
        """Give the answers of the cycle that judged what was taken, in the same order."""
        if not self._asked:
            return
        for event in events:
            answers = self._asked.get(event.subject, [])
            if event.name in ANSWERS and answers:
                answers.pop(0)(ANSWERS[event.name], event.text)
        for answers in self._asked.values():
            for answer in answers:
                answer(False, "the controller gave no answer; look at its events")
        self._asked.clear()
