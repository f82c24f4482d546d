"""The connections of a site: one per endpoint, shared by all units that are behind it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from controller.ports import Clock
from drivers.modbus.connect import Connector, MakeLink
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link
from drivers.modbus.serial_port import GAP_S
from drivers.modbus.session import Session
from drivers.modbus.taped_link import TapedLink
from drivers.modbus.unit_health import Backoff
from drivers.tape.tape import Tape

BACKOFF_CAP_S = 2.0


@dataclass(slots=True)
class _Line:
    """A session and what its devices agree on; ``users`` are the ids of those that have not left."""

    session: Session
    endpoint: Endpoint
    options: Mapping[str, str]
    first: str
    users: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Member:
    """The place of one device on its line."""

    device: str
    line: _Line

    @property
    def session(self) -> Session:
        """The connection."""
        return self.line.session

    @property
    def shared(self) -> bool:
        """True when other devices use the connection too."""
        return len(self.line.users) > 1

    async def leave(self) -> None:
        """Use the line no more; the last one closes it. Safe to call twice."""
        self.line.users.discard(self.device)
        if not self.line.users:
            await self.line.session.aclose()


class Lines:
    """Hands out the one session of each endpoint."""

    def __init__(self, clock: Clock, rng: random.Random | None = None, tape: Tape | None = None) -> None:
        """``rng`` gives the first transaction id of every session; ``tape`` records what goes over the connections."""
        self.tape = tape
        self._clock = clock
        self._rng = rng
        self._lines: dict[tuple[str, int], _Line] = {}

    def join(
        self,
        device: str,
        endpoint: Endpoint,
        options: Mapping[str, str],
        *,
        timeout_s: float,
        turnaround_s: float,
        outstanding_max: int = 1,
    ) -> Member:
        """The place of ``device`` on the line to ``endpoint``; the longest turnaround of its devices holds for all.

        ``timeout_s`` and ``turnaround_s`` are machine seconds. Raises ``ValueError`` when another device uses the same
        line in another way.
        """
        line = self._lines.get(endpoint.line)
        if line is None:
            session = self._open(endpoint, options, timeout_s)
            line = self._lines[endpoint.line] = _Line(session, endpoint, dict(options), device)
        if line.endpoint != endpoint or dict(line.options) != dict(options):
            raise ValueError(
                f"device {device}: endpoint {endpoint} is used by {line.first} with another scheme, serial setting or "
                "options; expected the same for all devices of one connection"
            )
        line.users.add(device)
        line.session.turnaround_s = max(line.session.turnaround_s, turnaround_s)
        line.session.outstanding_max = max(line.session.outstanding_max, outstanding_max)
        return Member(device, line)

    def _open(self, endpoint: Endpoint, options: Mapping[str, str], timeout_s: float) -> Session:
        return Session(
            endpoint,
            self._clock.now_s,
            backoff=Backoff(cap_s=max(self._clock.real_s(BACKOFF_CAP_S), 0.1)),
            settle_s=timeout_s if endpoint.rtu else 0.0,
            turnaround_s=0.0 if endpoint.serial is None else endpoint.serial.silence_s,
            rng=self._rng,
            connector=Connector(endpoint, timeout_s, dict(options), self._clock.utc, self._link_maker(endpoint)),
        )

    def _link_maker(self, endpoint: Endpoint) -> MakeLink:
        if self.tape is None:
            return Link
        gap_s = None if endpoint.serial is None else GAP_S
        return partial(TapedLink, self.tape.noter(endpoint.text, gap_s))
