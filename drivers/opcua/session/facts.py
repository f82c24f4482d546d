"""What it rests on that a node is a point, asked again while the session lives, a little at a time.

A server may be given another address space without ending its sessions. Whatever was found by path, name, type and unit
is looked at again, some of it every :data:`CHECK_S`, so that all of it has been after a few seconds. Some of it is
looked at every time: the table of namespaces, and of every object that points were found under the path of one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

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
READS_MAX, PATHS_MAX = 400, 50
"""Of each kind in one look: what takes a server a few milliseconds and us two."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One item of a request and what was answered: the value of an attribute, or the node at the end of a path.

    ``under`` is the object that the path leads through; two of one object are not looked at in a row.
    """

    service: Service
    item: bytes
    told: object
    under: tuple[str, ...] = field(default=(), compare=False)


class Facts:
    """Some facts after the other, round and round; the first of the attributes in every round."""

    def __init__(self, facts: Sequence[Fact], limits: ServerLimits) -> None:
        reads = [fact for fact in facts if fact.service == READ]
        most = min(limits.reads, READS_MAX)
        always = 1 if most > 1 else 0
        self._first, self._reads = reads[:always], _Round(reads[always:], most - always)
        paths = _spread([fact for fact in facts if fact.service == TRANSLATE])
        self._paths = _Round(paths, min(limits.paths, PATHS_MAX))

    def request(self) -> tuple[Service, bytes] | None:
        """What is asked first next time, with its parameters; None when there is nothing to ask."""
        due = self._due()
        return _request(due[0]) if due else None

    async def still_hold(self, ask: Ask) -> bool:
        """Ask for the next few; False when one of them is not what it was."""
        due = self._due()
        self._reads.go_on()
        self._paths.go_on()
        for facts in due:
            service, parameters = _request(facts)
            reader = await ask(service, parameters)
            if service == READ:
                told: list[object] = [answer.value for answer in await read_answer(reader, len(facts))]
            else:
                told = [target.node for target in translate_answer(reader, len(facts))]
            if told != [fact.told for fact in facts]:
                return False
        return True

    def _due(self) -> list[list[Fact]]:
        """The next facts, by request."""
        return [facts for facts in ([*self._first, *self._reads.due()], self._paths.due()) if facts]


class _Round:
    """Goes through facts, at most ``most`` at a time, and begins again at the end."""

    def __init__(self, facts: Sequence[Fact], most: int) -> None:
        self._facts = facts
        self._most = most
        self._next = 0

    def due(self) -> list[Fact]:
        return list(self._facts[self._next : self._next + self._most])

    def go_on(self) -> None:
        self._next += self._most
        if self._next >= len(self._facts):
            self._next = 0


def _request(facts: Sequence[Fact]) -> tuple[Service, bytes]:
    items = [fact.item for fact in facts]
    return facts[0].service, read_request(items) if facts[0].service == READ else array(items)


def _spread(paths: Sequence[Fact]) -> list[Fact]:
    """The first of every object, then the second of every one, and so on: what moves, moves with its object."""
    seen = Counter[tuple[str, ...]]()
    ranks = []
    for path in paths:
        ranks.append(seen[path.under])
        seen[path.under] += 1
    return [path for _, path in sorted(zip(ranks, paths, strict=True), key=lambda ranked: ranked[0])]
