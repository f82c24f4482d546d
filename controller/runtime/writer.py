"""One task per commanded device: the newest set point wins, and a slow device delays nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from controller.domain.command import Outcome, OutcomeState
from controller.ports import FieldDevice
from controller.runtime.commands import WriteRequest

_log = structlog.get_logger()


class Writer:
    """Writes to one device for ever. ``on_failed`` is called with the device's id when a write did not arrive."""

    def __init__(self, link: FieldDevice, on_failed: Callable[[str], None]) -> None:
        self._link = link
        self._on_failed = on_failed
        self._newest: WriteRequest | None = None
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._ending = False
        self._state: OutcomeState | None = None

    def submit(self, request: WriteRequest) -> None:
        """Replace whatever has not been sent yet. Never waits; does nothing once :meth:`last` was called."""
        self._newest = None if self._ending else request
        self._wake.set()

    async def run(self) -> None:
        """Send what is submitted until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            request, self._newest = self._newest, None
            if request is not None:
                self._report(request, await self._send(request))

    async def last(self, request: WriteRequest) -> Outcome:
        """Send ``request`` after what is being sent now, and nothing that was or will be submitted."""
        self._ending, self._newest = True, None
        return await self._send(request)

    async def _send(self, request: WriteRequest) -> Outcome:
        async with self._writing:
            return await self._link.write(request.values, request.lease_s, request.revert)

    def _report(self, request: WriteRequest, outcome: Outcome) -> None:
        if outcome.state is OutcomeState.FAILED:
            self._on_failed(request.device_id)
        was, self._state = self._state, outcome.state
        if outcome.state is was:
            return
        if outcome.state is OutcomeState.ACKNOWLEDGED:
            _log.info("command.acknowledged", device=request.device_id, values=dict(request.values))
        else:
            _log.warning("command.failed", device=request.device_id, state=outcome.state.value, reason=outcome.reason)
