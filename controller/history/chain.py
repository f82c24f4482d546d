"""The record of curtailments as a chain: each entry's fingerprint holds the one before, so none can change unseen.

An entry has two fingerprints (SHA-256, hexadecimal): ``content`` of its own fields, a random salt among them, and
``chain`` of the previous entry's ``chain`` and its own ``content``. Whoever is shown an entry in full can check both;
of the entries of others its ``content`` alone is enough to check that nothing was changed, left out or put in between,
and the salt keeps them from being guessed. That the end was not cut off shows by the last ``chain``, which each party
may keep. Entries of the first format say nothing of the ``basis`` of their energy; their fingerprints are without it.
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
    "basis",
    "salt",
)
COLUMNS = ("seq", *FIELDS, "content", "chain")
FIRST_FIELDS = tuple(name for name in FIELDS if name != "basis")
FIRST_COLUMNS = ("seq", *FIRST_FIELDS, "content", "chain")
"""What exports of the first format have; they are still read."""
BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """``entries`` were right, ``shown`` of them in full; ``head`` is the last fingerprint, ``fault`` what is wrong."""

    entries: int
    shown: int
    head: str
    fault: str = ""


def content_of(fields: Sequence[str]) -> str:
    """Fingerprint of an entry's own fields, in their order, joined by unit separators (ASCII 31).

    Those of :data:`FIRST_FIELDS` are joined by line feeds: neither kind can be taken for the other.
    """
    separator = "\n" if len(fields) == len(FIRST_FIELDS) else "\x1f"
    return hashlib.sha256(separator.join(fields).encode()).hexdigest()


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
    return not any(row.get(name) for name in FIELDS)


def fields_of(row: Mapping[str, str]) -> list[str]:
    """An entry's own fields as its fingerprint holds them: without ``basis`` where it has none."""
    return [row[name] for name in (FIELDS if row.get("basis") else FIRST_FIELDS)]


def _fault(row: Mapping[str, str], previous: str, number: int) -> str:
    if row["seq"] != str(number):
        return f"entry {row['seq']} comes where {number} is expected: one was left out or put in"
    if not _hidden(row) and content_of(fields_of(row)) != row["content"]:
        return f"entry {number} ({row['unit']}, {row['from_utc']}) was changed: its content does not match"
    if chain_of(previous, number, row["content"]) != row["chain"]:
        return f"entry {number} does not follow the one before it: something before it was changed"
    return ""
