"""Who may use a line now: one at a time, writes before reads, otherwise first come first served."""

from __future__ import annotations

import asyncio
from collections import deque

from drivers.modbus.link import LinkError


class Turns:
    """A lock that is waited for until a deadline. A device waits in one place at a time, so the order is fair."""

    __slots__ = ("_queues", "busy", "waiting")

    def __init__(self) -> None:
        self._queues: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())
        self.busy = False
        """True while somebody has the turn."""
        self.waiting = 0
        """How many wait for it."""

    def take_free(self) -> bool:
        """Take the turn if nobody has it."""
        if self.busy:
            return False
        self.busy = True
        return True

    async def take(self, deadline: float, urgent: bool) -> None:
        """Wait for the turn until ``deadline`` (loop time); LinkError when it does not come."""
        if self.take_free():
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queues[0 if urgent else 1].append(turn)
        self.waiting += 1
        timer = loop.call_at(deadline, _give_up, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.pass_on()
            raise
        finally:
            timer.cancel()
            self.waiting -= 1

    def pass_on(self) -> None:
        """Give the turn to whoever waits first."""
        for queue in self._queues:
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self.busy = False


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(LinkError("the connection was busy with another request", "timeout"))
