"""The control process as orders see it: its socket, its judgement, and a record of what was in force when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from controller.clock import utc_s
from controller.control.override import Book, receive
from controller.domain.instruction import Action
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.ports import Clock
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.instruction_socket import InstructionSocket

CYCLE_S = 0.004


@dataclass
class ControlSide:
    """Judges as the core does.

    ``course`` holds every value of ``action`` that came into force for ``subject``, W; None: nothing.
    """

    site: Site
    path: Path
    clock: Clock
    subject: str
    action: Action = Action.LIMIT
    course: list[float | None] = field(default_factory=list)
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    _book: Book = field(default_factory=Book)
    _desk: InstructionDesk = field(default_factory=InstructionDesk)

    @property
    def in_force(self) -> float | None:
        """What holds now, W."""
        return self.course[-1] if self.course else None

    async def run(self) -> None:
        """Until cancelled."""
        desks = {issuer.account: issuer.service for issuer in self.site.issuers}
        if not desks:
            raise ValueError(f"site {self.site.name} has nobody who could speak here; expected a platform or a market")
        listener = InstructionSocket(self.path, self.clock, self._desk, desks)
        await listener.open()
        try:
            while True:
                self._cycle()
                await asyncio.sleep(CYCLE_S)
        finally:
            await listener.aclose()

    def _cycle(self) -> None:
        taken = self._desk.take()
        now = Snapshot(self.clock.now_s(), {}, utc_s(self.clock), instructions=taken)
        received = receive(self.site, self._book, now, np.zeros(len(self.site.units)))
        self._book = received.book
        self._desk.settle(received.events)
        for event in received.events:
            self.accepted += event.name == "instruction.accepted"
            if event.name == "instruction.refused":
                why = event.text.split(":")[0]
                self.refused[why] = self.refused.get(why, 0) + 1
        standing = [s.instruction for s in self._book.standing if s.instruction.action is self.action]
        value = min((x.value for x in standing if x.subject == self.subject), default=None)
        if value != self.in_force:
            self.course.append(value)
