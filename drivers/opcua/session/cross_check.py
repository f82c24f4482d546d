"""What a subscription reports, held against what the server says when it is asked, a little at a time.

A server may keep a session and a subscription alive and report other points while one of them is never reported again:
its sampling has died, or the item was lost. Its value then stands still and looks as fresh as all the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from drivers.opcua.session.limits import Ask, ServerLimits
from drivers.opcua.session.protocol import LinkError
from drivers.opcua.session.services import READ, read_answer, read_request, read_value_id
from drivers.opcua.values import NodeValue

VALUES_MAX = 200
"""In one look: a fifth of a millisecond of the loop."""
LOOKS_MAX = 4
"""A point reads otherwise than it was last reported in so many looks in a row, and nothing is reported in between. From
the first of them to the last it is longer than a subscription may be quiet, and than it may take from a change to its
report."""


class UnreportedError(LinkError):
    """The server does not report the changes of a point that it was asked to report."""


class _Suspect(NamedTuple):
    """What had been reported of a point that read otherwise, and in how many looks."""

    reported: NodeValue
    looks: int


class CrossCheck:
    """Reads some points after the others, round and round, and again at every look those that read otherwise."""

    def __init__(self, nodes: Mapping[str, bytes], limits: ServerLimits) -> None:
        self._nodes = nodes
        self._names = tuple(nodes)
        self._most = min(limits.reads, VALUES_MAX)
        self._next = 0
        self._suspects: dict[str, _Suspect] = {}

    async def look(self, ask: Ask, reported: Mapping[str, NodeValue]) -> None:
        """One look at the next points; ``reported`` are the latest values, also of what comes meanwhile.

        Raises :class:`UnreportedError` when a point has read otherwise for long enough.
        """
        names = self._due(reported)
        if not names:
            return
        request = read_request([read_value_id(self._nodes[name]) for name in names])
        values = await read_answer(await ask(READ, request), len(names))
        suspects = dict(self._judged(zip(names, values, strict=True), reported))
        for name, suspect in suspects.items():
            if suspect.looks >= LOOKS_MAX:
                raise UnreportedError(
                    f"{name} reads otherwise than the server reported it last ({suspect.reported.value}), and for "
                    f"{LOOKS_MAX} looks no change is reported; its subscription is not believed"
                )
        self._suspects = suspects

    def _due(self, reported: Mapping[str, NodeValue]) -> list[str]:
        """Suspects first, then as many of the others as there is room for."""
        again = list(self._suspects)[: self._most]
        last = self._next + self._most - len(again)
        others = self._names[self._next : last]
        self._next = last if last < len(self._names) else 0
        return again + [name for name in others if name in reported and name not in self._suspects]

    def _judged(
        self, read: Iterable[tuple[str, NodeValue]], reported: Mapping[str, NodeValue]
    ) -> Iterable[tuple[str, _Suspect]]:
        """Who is in doubt after this look."""
        for name, value in read:
            last = reported[name]
            if _told(value) == _told(last):
                continue
            before = self._suspects.get(name)
            looks = before.looks + 1 if before is not None and before.reported is last else 1
            yield name, _Suspect(last, looks)


def _told(value: NodeValue) -> Sequence[object]:
    """What makes a server report a change; NaN is what it was."""
    return value.status, value.type, repr(value.value)
