"""A recording of `gridedge run --record` as the history that a station would have kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.domain.site import Site
from controller.history.collect import Collector
from controller.history.store import Store
from controller.recording.codec import Tree
from controller.recording.format import Header
from controller.recording.reader import RecordedCycle, read

NOT_FINITE = ("nan", "inf", "-inf")
"""As a recording spells what JSON has no number for."""
TEXTS = frozenset({"id", "cause", "name", "subject", "text", "status", "kind", "owner", "obstacle", "units"})


class NoHistory(ValueError):
    """The recording makes no history; says why."""


def keep(path: Path, folder: Path) -> Site:
    """Write the history of a recording (a file or a folder of them) into an empty ``folder``; the site it is of.

    Raises NoHistory for a recording without a cycle or without a time of day, and what the reader raises.
    """
    site: Site | None = None
    collector, store = Collector(), None
    try:
        for header, record in records(path):
            if store is None:
                store = Store(folder, header.site.name)
            elif site is not None and site.name != header.site.name:
                raise NoHistory(f"{path} is of {site.name} and of {header.site.name}; expected one site")
            site = header.site
            batch = collector.take(record)
            if batch is not None:
                store.append(batch)
        last = collector.close()
        if site is None or store is None:
            raise NoHistory(f"{path} holds no whole cycle")
        if last is not None:
            store.append(last)
    finally:
        if store is not None:
            store.close()
    return site


def records(path: Path) -> Iterator[tuple[Header, dict[str, Any]]]:
    """Every cycle as it was published, with the header that it is under. Raises NoHistory."""
    header: Header | None = None
    for item in read(path):
        if isinstance(item, Header):
            header = item
        elif isinstance(item, RecordedCycle) and header is not None:
            yield header, _published(item.record) | {"utc": _utc(item, header)}


def _utc(cycle: RecordedCycle, header: Header) -> str:
    """The cycle's own time of day, or that of the recording's begin and the time since."""
    known = cycle.snapshot["rest"].get("utc_s")
    if isinstance(known, int | float) and math.isfinite(known):
        return datetime.fromtimestamp(known, UTC).isoformat()
    if not header.utc:
        raise NoHistory("nobody knew the time of day when this was recorded; expected a recording with one")
    began_s = datetime.fromisoformat(header.utc).timestamp()
    return datetime.fromtimestamp(began_s + float(cycle.record["now_s"]) - header.now_s, UTC).isoformat()


def _published(tree: Tree) -> dict[str, Any]:
    """The record with null where there is no number, as the record socket says it."""
    return {key: _plain(key, value) for key, value in tree.items()}


def _plain(key: str, value: Tree) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(key, inner) for inner in value]
    return None if key not in TEXTS and value in NOT_FINITE else value
