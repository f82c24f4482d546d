"""Instants (RFC 3339) and durations (ISO 8601) of OpenADR as seconds.

OpenADR 3.1.1, Definition: a start of ``0001-01-01`` means now, a duration of ``P9999Y`` means without end.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from controller.balancing.openadr.strict_json import Malformed

NOW = -math.inf
"""Start that means the instant of receipt."""
_YEAR_NOW = 1
_ENDLESS = "P9999Y"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DURATION = re.compile(
    r"P(?:(?P<w>\d{1,4})W)?(?:(?P<d>\d{1,5})D)?"
    r"(?:T(?=\d)(?:(?P<h>\d{1,6})H)?(?:(?P<m>\d{1,7})M)?(?:(?P<s>\d{1,9}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)
_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def instant_utc_s(text: str) -> float:
    """Seconds since 1970; :data:`NOW` for the year 1. Raises Malformed for anything without a zone."""
    if not _INSTANT.fullmatch(text):
        raise Malformed(f"{text[:40]!r} is no instant; expected for example 2026-11-22T12:00:00Z")
    try:
        found = datetime.fromisoformat(text[:19] + text[19:].replace("Z", "+00:00"))
    except ValueError as error:
        raise Malformed(f"{text[:40]!r} is no instant: {error}") from error
    return NOW if found.year == _YEAR_NOW else found.timestamp()


def duration_s(text: str) -> float:
    """Seconds, more than zero; infinite for ``P9999Y``. Months and years have no fixed length and are refused."""
    if text == _ENDLESS:
        return math.inf
    found = _DURATION.fullmatch(text)
    parts = {} if found is None else {key: float(value) for key, value in found.groupdict().items() if value}
    total_s = sum(_SECONDS[key] * value for key, value in parts.items())
    if not total_s > 0.0:
        raise Malformed(f"{text[:40]!r} is no duration above zero; expected for example PT30M, or {_ENDLESS}")
    return total_s


def instant_text(utc_s: float) -> str:
    """RFC 3339 text of an instant, to the millisecond."""
    return datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration_text(seconds_s: float) -> str:
    """ISO 8601 text of a whole number of seconds."""
    return f"PT{round(seconds_s)}S"
