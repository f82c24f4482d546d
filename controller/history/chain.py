"""The record of curtailments as a chain: each entry's fingerprint holds the one before, so none can change unseen.

An entry has two fingerprints (SHA-256, hexadecimal): ``content`` of its own fields, a random salt among them, and
``chain`` of the previous entry's ``chain`` and its own ``content``. Whoever is shown an entry in full can check both;
of the entries of others its ``content`` alone is enough to check that nothing was changed, left out or put in between,
and the salt keeps them from being guessed. That the end was not cut off shows by the last ``chain``, which each party
may keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FIELDS = (
    "from_utc",
    "to_utc",
    "unit",
    "cause",
    "principle",
    "rank",
    "energy_wh",
    "most_w",
    "lasted_s",
    "loading_frac",
    "salt",
)
COLUMNS = ("seq", *FIELDS, "content", "chain")
BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """``entries`` were right, ``shown`` of them in full; ``head`` is the last fingerprint, ``fault`` what is wrong."""

    entries: int
    shown: int
    head: str
    fault: str = ""


def content_of(fields: Sequence[str]) -> str:
    """Fingerprint of an entry's own fields, in the order of :data:`FIELDS`, joined by line feeds."""
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()


def chain_of(previous: str, seq: int, content: str) -> str:
    """Fingerprint of an entry and everything before it."""
    return hashlib.sha256(f"{previous}\n{seq}\n{content}".encode()).hexdigest()


def verify(rows: Iterable[Mapping[str, str]]) -> Verdict:
    """Check entries as an export holds them (texts by :data:`COLUMNS`), from the first on.

    Entries whose fields are empty are those of others: their ``content`` is taken as it is.
    """
    head, entries, shown = BEGINNING, 0, 0
    for row in rows:
        fault = _fault(row, head, entries + 1)
        if fault:
            return Verdict(entries, shown, head, fault)
        head, entries, shown = row["chain"], entries + 1, shown + (not _hidden(row))
    return Verdict(entries, shown, head)


def _hidden(row: Mapping[str, str]) -> bool:
    return not any(row[name] for name in FIELDS)


def _fault(row: Mapping[str, str], previous: str, number: int) -> str:
    if row["seq"] != str(number):
        return f"entry {row['seq']} comes where {number} is expected: one was left out or put in"
    if not _hidden(row) and content_of([row[name] for name in FIELDS]) != row["content"]:
        return f"entry {number} ({row['unit']}, {row['from_utc']}) was changed: its content does not match"
    if chain_of(previous, number, row["content"]) != row["chain"]:
        return f"entry {number} does not follow the one before it: something before it was changed"
    return ""
