"""A field device on OPC UA."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlparse

import structlog

from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality, missing
from controller.domain.site import Device
from controller.ports import Clock
from drivers.opcua.commands import UnsupportedError, Writes, plan_writes, read_backs
from drivers.opcua.link import Link, LinkTo
from drivers.opcua.security import OpcUaSecurity
from drivers.opcua.session import (
    LinkError,
    OpcUaSession,
    Points,
    Terms,
    UnreportedError,
    UnresolvedError,
    unrecorded,
)
from drivers.opcua.values import TYPES, EncodeError, NodeValue, SourceOrder, derive, measure
from drivers.profile import Profile
from drivers.tape.tape import Tape

_log = structlog.get_logger()

DEADLINE_S_MIN = 0.25
"""Machine seconds that a request always gets: a simulated site may run faster than the machine can answer."""
SESSION_S_MIN = 10.0
SESSION_POLLS = 5.0
"""A server keeps an abandoned session for this many polls; embedded servers have few to give."""
READ_INSTEAD_S = 600.0
"""Machine seconds for which a server is read that was found not to report what it was asked to; after that the next
connection subscribes again."""
SLICE_POINTS = 200
"""Points that are judged before the loop gets its turn: about half a millisecond."""


class OpcUaDevice:
    """Implements :class:`~controller.ports.FieldDevice`.

    Nothing is connected before the first poll or write. A write does not wait for a poll that is under way: OPC UA
    answers carry the number of their request. Raises ValueError for an endpoint or a profile that is not for OPC UA.
    """

    def __init__(
        self,
        device: Device,
        profile: Profile,
        clock: Clock,
        security: OpcUaSecurity | None = None,
        tape: Tape | None = None,
        link: LinkTo | None = None,
    ) -> None:
        """``tape`` records the services of its sessions; ``link`` is used instead of a connection to the endpoint."""
        _check(device, profile)
        self._device = device
        self._profile = profile
        self._clock = clock
        self._security = security
        self._readable = tuple(spec for spec in profile.points if "r" in spec.access)
        self._tape = tape
        self._note = unrecorded if tape is None else tape.noter(device.endpoint, device=device.id)
        self._link: LinkTo = link or Link(self._open)
        self._sessions = 0
        self._read_until_s = -math.inf
        self._last: Mapping[str, Measurement] = {}
        self._order = SourceOrder()
        self._heard: Mapping[str, NodeValue] = {}
        self._counts = Counter[str](ok=0, failed=0, writes_ok=0, writes_failed=0)

    @property
    def id(self) -> str:
        """Id of the device in the site file."""
        return self._device.id

    async def poll(self) -> Mapping[str, Measurement]:
        """Read every point once; see :class:`~controller.ports.FieldDevice`."""
        try:
            points = await self._link.call(self._read, self._deadline_s())
            self._counts["ok"] += 1
        except LinkError as fault:
            if isinstance(fault, UnreportedError):
                self._read_instead(str(fault))
            points = self._nothing(str(fault))
            self._counts["failed"] += 1
        points |= {spec.name: derive(spec, points) for spec in self._profile.derived}
        points |= read_backs(self._profile, points)
        self._last = points
        if self._tape is not None:
            self._tape.published(self._device, points)
        return points

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        """Send set points; see :class:`~controller.ports.FieldDevice`. Refused before sending: NaN, out of range."""
        try:
            calls = plan_writes(self._profile, values, lease_s, revert, self._last)
        except UnsupportedError as reason:
            return Outcome(OutcomeState.UNSUPPORTED, f"{self.id}: {reason}")
        except EncodeError as reason:
            return Outcome(OutcomeState.REFUSED, f"{self.id}: not sent: {reason}")
        try:
            outcome = await self._link.call(lambda session: self._send(session, calls), self._deadline_s())
        except (LinkError, UnresolvedError) as fault:
            outcome = Outcome(OutcomeState.FAILED, f"{self.id}: {fault}")
        self._counts["writes_ok" if outcome.state is OutcomeState.ACKNOWLEDGED else "writes_failed"] += 1
        return outcome

    async def aclose(self) -> None:
        """Close the connection; safe to call twice."""
        await self._link.aclose()

    def raw(self) -> Mapping[str, str]:
        """Values as the server sent them; see :class:`~controller.ports.Inspectable`."""
        return {name: f"{node.type or 'null'} {node.value} {node.status_name}" for name, node in self._heard.items()}

    def counts(self) -> Mapping[str, int]:
        """Polls, writes and connections so far; see :class:`~controller.ports.Inspectable`."""
        return {
            **self._counts,
            "connects": self._link.connects,
            "faults": self._link.faults,
            "subscribed": int(self._link.subscribed),
        }

    async def _open(self, within_s: float) -> OpcUaSession:
        period_s = self._clock.real_s(self._device.poll_s)
        stale_s = self._clock.real_s(self._device.stale_s)
        session_s = max(SESSION_S_MIN, SESSION_POLLS * period_s)
        self._sessions += 1
        delivery = "read" if asyncio.get_running_loop().time() < self._read_until_s else self._device.delivery
        ours = (self._clock.now_s, delivery, self._note, self._sessions)
        terms = Terms(within_s, session_s, period_s, stale_s, *ours)
        return await OpcUaSession.open(self._device.endpoint, self._profile, terms, self._security)

    def _read_instead(self, reason: str) -> None:
        self._read_until_s = asyncio.get_running_loop().time() + READ_INSTEAD_S
        _log.warning("subscription.distrusted", device=self.id, endpoint=self._device.endpoint, reason=reason)

    async def _read(self, session: Points) -> dict[str, Measurement]:
        heard = await session.read()
        values = dict(heard.values)
        points: dict[str, Measurement] = {}
        for number, spec in enumerate(self._readable):
            node = values.get(spec.name)
            if node is None:
                reason = session.problems.get(spec.name, "not found")
                points[spec.name] = Measurement(math.nan, Quality.BAD, heard.sent_s, heard.received_s, reason)
            else:
                points[spec.name] = self._order.judge(
                    spec.name, node, measure(spec, node, heard.sent_s, heard.received_s, self._device.stale_s)
                )
            if number % SLICE_POINTS == SLICE_POINTS - 1:
                await asyncio.sleep(0)
        self._heard = values
        return self._identified(points)

    def _identified(self, points: dict[str, Measurement]) -> dict[str, Measurement]:
        """All bad when the server is not the device that the profile describes."""
        for name, expected in self._profile.identity.items():
            shown = points[name]
            if not (shown.usable and shown.value == expected):
                reason = f"not this device: {name} is {shown.value:g} {shown.reason}; expected {expected:g}"
                return {
                    key: Measurement(math.nan, Quality.BAD, point.measured_at_s, point.received_at_s, reason)
                    for key, point in points.items()
                }
        return points

    async def _send(self, session: Points, calls: list[Writes]) -> Outcome:
        """Call after call, up to the first refusal."""
        remarks: list[str] = []
        for call in calls:
            statuses = await session.write(call)
            named = [(spec.name, status) for (spec, _), status in zip(call, statuses, strict=True)]
            refused = [f"{name}: {status.status_name}" for name, status in named if _is_refusal(status)]
            if refused:
                return Outcome(OutcomeState.REFUSED, f"{self.id}: server says {', '.join(refused)}")
            remarks += [f"{name}: {status.status_name}" for name, status in named if status.status != 0]
        return Outcome(OutcomeState.ACKNOWLEDGED, ", ".join(remarks))

    def _nothing(self, reason: str) -> dict[str, Measurement]:
        now_s = self._clock.now_s()
        return {spec.name: missing(now_s, reason) for spec in self._readable}

    def _deadline_s(self) -> float:
        return max(self._clock.real_s(self._device.timeout_s), DEADLINE_S_MIN)


def _is_refusal(status: NodeValue) -> bool:
    """Anything but Good: a value that a server is uncertain about having taken was not taken."""
    return status.status >> 30 != 0


def _check(device: Device, profile: Profile) -> None:
    if profile.protocol != "opcua" or not profile.namespace_uri:
        raise ValueError(f"device {device.id}: profile {profile.id} is for {profile.protocol}; expected opcua")
    url = urlparse(device.endpoint)
    if url.scheme != "opc.tcp" or not url.hostname or not url.port:
        raise ValueError(f"device {device.id}: endpoint is {device.endpoint!r}; expected opc.tcp://host:port/…")
    for spec in profile.points:
        if spec.type not in TYPES or not spec.path:
            raise ValueError(
                f"profile {profile.id}: point {spec.name} has type {spec.type!r} and path {spec.path}; "
                f"expected a path and one of {', '.join(TYPES)}"
            )
