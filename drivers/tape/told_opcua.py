"""OPC UA devices of a recording, polled again: the real driver, with the recorded answers in place of a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from controller.domain.site import Device
from controller.ports import Clock
from drivers.opcua.device import OpcUaDevice
from drivers.opcua.session import LinkError, Points, Terms
from drivers.opcua.session.binary import Reader
from drivers.opcua.session.guard import field_faults
from drivers.opcua.session.nodes import NAMESPACES
from drivers.opcua.session.protocol import checked
from drivers.opcua.session.services import (
    CREATE_SUBSCRIPTION,
    PUBLISH,
    READ,
    WRITE,
    Service,
    publish_answer,
    read_request,
    read_value_id,
)
from drivers.opcua.session.subscription import Heard, Messages, Wish
from drivers.profile import Profile
from drivers.profile_loader import load_profile
from drivers.tape.records import Kind, Record

_T = TypeVar("_T")
_LOOKS_FOR_NODES = read_request([read_value_id(NAMESPACES)])
"""What a session asks first when it looks for its points."""


@dataclass(slots=True)
class _Asked:
    """A request of a recording and its answer, once that has come."""

    handle: int
    service: bytes
    parameters: bytes
    sent_s: float
    answer: bytes | None = None


class Channel:
    """What went over the connections of one OPC UA device, up to the last look at it."""

    def __init__(self, number: int, endpoint: str, device: str) -> None:
        self.number = number
        self.endpoint = endpoint
        self.device = device
        self.opened = 0
        self.requests = self.answered = 0
        self.ends: dict[str, int] = {}
        self.remarks: list[str] = []
        self.session: ToldPoints | None = None
        self.uncompared = 0
        """Polls on a connection of which the beginning is not in the recording."""
        self._asked: dict[int, _Asked] = {}
        self._events: deque[_Asked | Kind] = deque()
        self._seen: list[_Asked | Kind] | None = None
        self._opened_as = b""

    @property
    def midway(self) -> bool:
        """True while the connection in use is one of which the beginning is not in the recording."""
        return self.opened == 0 and self.requests > 0

    def take(self, record: Record, *, begun_before: bool) -> None:
        """One record of this line; ``begun_before``: what is open was so before the recording begins."""
        if record.kind is Kind.OPENED:
            if record.content != self._opened_as and not begun_before:  # else: said again at the head of another part
                self.opened += 1
                self._asked.clear()
                self._events.append(Kind.OPENED)
            self._opened_as = record.content
        elif record.kind is Kind.ASKED:
            self._ask(record)
        elif record.kind is Kind.ANSWERED:
            self._answer(record)
        elif record.kind is Kind.TAKEN:
            self._events.append(Kind.TAKEN)
        elif record.kind is Kind.LOOKED:
            self._seen = list(self._events)
            self._events.clear()
        elif record.kind is Kind.ENDED:
            text = record.content.decode(errors="replace").partition("\0")[2]
            self.ends[text] = self.ends.get(text, 0) + 1

    def look(self) -> list[_Asked | Kind] | None:
        """What happened from one look to the next; None when there was none since this was asked last."""
        seen, self._seen = self._seen, None
        return seen

    def _ask(self, record: Record) -> None:
        content = record.content
        number, handle = (int.from_bytes(content[at : at + 4], "little") for at in (0, 4))
        size = len(READ.request)  # the types of all services are written alike
        self.requests += 1
        self._asked[number] = _Asked(handle, content[8 : 8 + size], content[8 + size :], record.at_s)

    def _answer(self, record: Record) -> None:
        asked = self._asked.pop(int.from_bytes(record.content[:4], "little"), None)
        if asked is not None:
            self.answered += 1
            asked.answer = record.content[4:]
            self._events.append(asked)


class ToldPoints(Points):
    """The points of one recorded connection."""

    def __init__(self, profile: Profile, terms: Terms, remark: Callable[[str], None]) -> None:
        super().__init__(self._told, profile, terms)
        self._answers: dict[bytes, deque[_Asked]] = {}
        self._published: deque[_Asked] = deque()
        self._remark = remark
        self.settled = False

    def hear(self, asked: _Asked) -> None:
        """An answer came."""
        if asked.service == PUBLISH.request:
            self._published.append(asked)
        elif asked.service != WRITE.request:
            self._answers.setdefault(asked.service, deque()).append(asked)

    async def taken(self) -> None:
        """The oldest message that came counts from now on."""
        if self._messages is None:  # what is recorded is not yet read as far as the subscription
            await self.settle_once()
        if self._messages is None or not self._published:
            return
        asked = self._published.popleft()
        message = await publish_answer(checked(PUBLISH, asked.handle, asked.answer or b""))
        self._messages.take(message, asked.sent_s, asked.sent_s)

    async def settle_once(self) -> None:
        """Find the points by what was answered when the connection was new."""
        if not self.settled:
            self.settled = True
            await self.settle()

    async def read(self) -> Heard:
        """What was known at the look."""
        await self.settle_once()
        waiting = self._answers.get(READ.request, deque())
        while waiting and waiting[0].parameters == _LOOKS_FOR_NODES:
            await self.resolve()
        return await self._fitting(self._believed)

    def _check_is_due(self) -> bool:
        """As it was when the answers were recorded."""
        request = self._facts.request()
        if request is None:
            return False
        service, parameters = request
        waiting = self._answers.get(service.request)
        return waiting is not None and len(waiting) > 0 and waiting[0].parameters == parameters

    def _wants_subscription(self) -> bool:
        return bool(self._answers.get(CREATE_SUBSCRIPTION.request))

    async def _listen(self, messages: Messages, wish: Wish) -> None:
        """The messages come by themselves."""

    async def _told(self, service: Service, parameters: bytes) -> Reader:
        waiting = self._answers.get(service.request)
        if not waiting:
            raise LinkError(f"{service.name}: not answered in the recording")
        asked = waiting.popleft()
        if asked.parameters != parameters:
            self._remark(f"{service.name}: asked {asked.parameters.hex()}; this version would ask {parameters.hex()}")
        return checked(service, asked.handle, asked.answer or b"")


class ToldLink:
    """Stands where the connection was: a request sees what the recorded one saw."""

    connects = faults = 0
    subscribed = False

    def __init__(self, channel: Channel, profile: Profile, terms: Terms) -> None:
        self._channel = channel
        self._profile = profile
        self._terms = terms

    async def call(self, request: Callable[[Points], Awaitable[_T]], within_s: float) -> _T:
        """Run ``request`` on what was seen since the last time. Raises :class:`LinkError` when nothing was."""
        seen = self._channel.look()
        if seen is None:
            raise LinkError("no answer in the recording")
        for event in seen:
            if event is Kind.OPENED:
                self._channel.session = ToldPoints(self._profile, self._terms, self._channel.remarks.append)
            elif self._channel.session is None:
                continue  # the recording begins within a connection
            elif isinstance(event, _Asked):
                self._channel.session.hear(event)
            else:
                with field_faults("publish", None):
                    await self._channel.session.taken()
        if self._channel.session is None:
            raise LinkError("the recording begins within a connection")
        return await request(self._channel.session)

    async def aclose(self) -> None:
        """Nothing is open."""


def told_device(device: Device, clock: Clock, channel: Channel) -> OpcUaDevice:
    """The driver of ``device``, which reads what ``channel`` tells. Raises ValueError (also ProfileError)."""
    profile = load_profile(device.profile)
    real_s = clock.real_s
    terms = Terms(1.0, 1.0, real_s(device.poll_s), real_s(device.stale_s), clock.now_s, device.delivery)
    return OpcUaDevice(device, profile, clock, link=ToldLink(channel, profile, terms))
