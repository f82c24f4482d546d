"""The book of commands as JSON, for the disk: what stands outlives a restart, and so does what was used up."""

from __future__ import annotations

import json
import math
from typing import Any

from controller import documents
from controller.balancing.admission import Admitted, Book, Mark, Now
from controller.balancing.command import FOREVER, Command, Kind, Part, Step
from controller.documents import DocumentError
from controller.domain.budget import Spent


def dump_book(book: Book, now: Now) -> str:
    """One line of JSON; monotonic ends as seconds left, what has no end as null."""
    document = {
        "marks": {issuer: {"counter": m.counter, "ids": sorted(m.ids)} for issuer, m in book.marks.items()},
        "spent": {issuer: spent.acts for issuer, spent in book.spent.items()},
        "standing": [_dump_command(a.command) | {"left_s": _finite(a.ends_at_s - now.now_s)} for a in book.standing],
    }
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def load_book(text: str, now: Now) -> Book:
    """What :func:`dump_book` wrote; ends are those of the time of day, but never later than was left.

    Raises DocumentError, or another ValueError for what is no JSON.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        raise DocumentError(f"the book is {type(document).__name__}; expected an object")
    marks = documents.block(document, "marks")
    spent = documents.block(document, "spent")
    return Book(
        tuple(_load_admitted(entry, now) for entry in document.get("standing", [])),
        {issuer: _load_mark(documents.block(marks, issuer)) for issuer in marks},
        {issuer: Spent(documents.number(spent, issuer), now.now_s) for issuer in spent},
    )


def describe(command: Command) -> str:
    """The command as JSON, for the record; what is no number stands as null."""
    return json.dumps(_dump_command(command), allow_nan=False, separators=(",", ":"))


def _dump_command(command: Command) -> dict[str, Any]:
    return {
        "id": command.id,
        "issuer": command.issuer,
        "counter": command.counter,
        "issued_utc_s": _finite(command.issued_utc_s),
        "priority": command.priority,
        "parts": [
            {
                "kind": part.kind.value,
                "subject": part.subject,
                "steps": [[_finite(s.start_utc_s), _finite(s.end_utc_s), _finite(s.w)] for s in part.steps],
            }
            for part in command.parts
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _load_mark(entry: Any) -> Mark:
    return Mark(documents.whole(entry, "counter"), frozenset(str(x) for x in entry["ids"]))


def _load_admitted(entry: Any, now: Now) -> Admitted:
    parts = tuple(_load_part(part) for part in documents.items(entry, "parts"))
    command = Command(
        documents.text(entry, "id"),
        documents.text(entry, "issuer"),
        documents.whole(entry, "counter"),
        documents.number(entry, "issued_utc_s"),
        documents.whole(entry, "priority"),
        parts,
    )
    left_s = FOREVER if entry.get("left_s") is None else documents.number(entry, "left_s")
    return Admitted(command, now.now_s + left_s)


def _load_part(part: Any) -> Part:
    steps = tuple(Step(float(a), FOREVER if b is None else float(b), float(w)) for a, b, w in part["steps"])
    return Part(Kind(part["kind"]), documents.text(part, "subject"), steps)
