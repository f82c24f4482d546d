"""JSON from the outside, read strictly: no NaN, no infinity, no key twice, no abyss.

``json.loads`` takes ``NaN`` and ``1e999``, and of a key that stands twice the last: a limit must not depend on that.
"""

from __future__ import annotations

import json
import math
from typing import Any


class Malformed(ValueError):
    """What came is not what the standard says; the message names the place and the value."""


def read_json(body: bytes, bytes_max: int) -> Any:
    """The document in ``body``. Raises :class:`Malformed`."""
    if len(body) > bytes_max:
        raise Malformed(f"{len(body)} bytes; expected at most {bytes_max}")
    try:
        return json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError as error:
        raise Malformed("nested too deep") from error
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise Malformed("a key stands twice")
    return out


def _no_constant(word: str) -> float:
    raise Malformed(f"{word} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Malformed(f"{text[:40]} is not a finite number")
    return value
