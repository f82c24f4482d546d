"""Who is joined to whom: the little graph work that checking a site needs."""

from __future__ import annotations

from collections.abc import Iterable


def reachable(start: str, links: Iterable[tuple[str, str]]) -> set[str]:
    """Every bus that is joined to ``start`` by the links, ``start`` included."""
    neighbours: dict[str, list[str]] = {}
    for one, other in links:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    seen, waiting = {start}, [start]
    while waiting:
        for bus in neighbours.get(waiting.pop(), ()):
            if bus not in seen:
                seen.add(bus)
                waiting.append(bus)
    return seen
