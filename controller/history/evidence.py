"""The record of curtailments as evidence in a settlement: proven unbroken first, then asked for energies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from controller.history.chain import verify


@dataclass(frozen=True, slots=True)
class _Entry:
    unit: str
    from_utc_s: float
    to_utc_s: float
    energy_wh: float


class Evidence:
    """Entries of the chain as an export or :func:`controller.history.store.curtailments` gives them.

    ``head`` is the last fingerprint: whoever settles by this record names it, so that both sides can see that they
    counted the same. ``sold``: how the causes begin that are orders themselves; what a generator gave up for an order
    that it sold is its delivery, and not taken from it. Raises ValueError when the chain is broken; nothing is settled
    by a record that was changed.
    """

    def __init__(self, rows: Iterable[Mapping[str, str]], sold: str | None = None) -> None:
        kept = list(rows)
        verdict = verify(kept)
        if verdict.fault:
            raise ValueError(f"the record of curtailments proves nothing: {verdict.fault}")
        self.head = verdict.head
        self._forced: list[_Entry] = []
        self._sold: list[_Entry] = []
        for row in (row for row in kept if row["unit"]):
            entry = _Entry(row["unit"], _utc_s(row["from_utc"]), _utc_s(row["to_utc"]), float(row["energy_wh"]))
            is_sold = sold is not None and row["cause"].startswith(sold)
            (self._sold if is_sold else self._forced).append(entry)

    def curtailed_wh(self, unit: str, from_utc_s: float, to_utc_s: float) -> float:
        """Energy, Wh ≥ 0, that a unit was kept from giving between two instants (UTC seconds since 1970).

        An entry that reaches beyond counts by the share of its time that lies inside. Estimates count like what was
        reported: a unit must not earn by keeping to itself what it could have given.
        """
        return _energy_wh(self._forced, unit, from_utc_s, to_utc_s)

    def taken_wh(self, unit: str, from_utc_s: float, to_utc_s: float) -> float:
        """The same of what a unit gave up for orders that it sold."""
        return _energy_wh(self._sold, unit, from_utc_s, to_utc_s)


def _energy_wh(entries: Iterable[_Entry], unit: str, from_utc_s: float, to_utc_s: float) -> float:
    return sum(
        entry.energy_wh * _overlap_s(entry, from_utc_s, to_utc_s) / (entry.to_utc_s - entry.from_utc_s)
        for entry in entries
        if entry.unit == unit and entry.to_utc_s > entry.from_utc_s
    )


def _overlap_s(entry: _Entry, from_utc_s: float, to_utc_s: float) -> float:
    return max(0.0, min(entry.to_utc_s, to_utc_s) - max(entry.from_utc_s, from_utc_s))


def _utc_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
