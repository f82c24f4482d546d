"""What it rests on that a node is a point, asked again while the session lives, a little at a time.

A server may be given another address space without ending its sessions. Whatever was found by path, name, type and unit
is looked at again, some of it every :data:`CHECK_S`, so that all of it has been after a few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from drivers.opcua.session.binary import array
from drivers.opcua.session.limits import Ask, ServerLimits
from drivers.opcua.session.services import (
    READ,
    TRANSLATE,
    Service,
    read_answer,
    read_request,
    translate_answer,
)

CHECK_S = 1.0
"""Machine seconds from one look to the next."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One item of a request and what was answered: the value of an attribute, or the node at the end of a path."""

    service: Service
    item: bytes
    told: object


class Facts:
    """Some facts after the other, round and round."""

    def __init__(self, facts: Sequence[Fact], limits: ServerLimits) -> None:
        self._facts = facts
        self._most = {READ: min(limits.reads, limits.items), TRANSLATE: limits.paths}
        self._next = 0

    def request(self) -> tuple[Service, bytes] | None:
        """What is asked next, with its parameters; None when there is nothing to ask."""
        due = self._due()
        if not due:
            return None
        items = [fact.item for fact in due]
        return due[0].service, read_request(items) if due[0].service == READ else array(items)

    async def still_hold(self, ask: Ask) -> bool:
        """Ask for the next few; False when one of them is not what it was."""
        due, request = self._due(), self.request()
        if request is None:
            return True
        self._next = (self._next + len(due)) % len(self._facts)
        service, parameters = request
        reader = await ask(service, parameters)
        if service == READ:
            told: list[object] = [answer.value for answer in await read_answer(reader, len(due))]
        else:
            told = [target.node for target in translate_answer(reader, len(due))]
        return told == [fact.told for fact in due]

    def _due(self) -> list[Fact]:
        """The next facts, as many as fit into one request."""
        left = self._facts[self._next :]
        if not left:
            return []
        service = left[0].service
        return list(islice(takewhile(lambda fact: fact.service == service, left), self._most[service]))
