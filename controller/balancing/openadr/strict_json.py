"""JSON from the outside, read strictly: no NaN, no infinity, no number beyond a float, no key twice, no abyss.

``json.loads`` takes ``NaN`` and ``1e999``, and of a key that stands twice the last: a limit must not depend on that.
"""

from __future__ import annotations

import json
import math
from typing import Any

DEPTH_MAX = 32
"""Levels of lists and objects in each other: what reads or writes it again does so by recursion."""
WHOLE_MAX = 1 << 63


class Malformed(ValueError):
    """What came is not what the standard says; the message names the place and the value."""


def read_json(body: bytes, bytes_max: int) -> Any:
    """The document in ``body``. Raises :class:`Malformed`."""
    if len(body) > bytes_max:
        raise Malformed(f"{len(body)} bytes; expected at most {bytes_max}")
    try:
        document = json.loads(
            body, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
        )
    except RecursionError as error:
        raise Malformed("nested too deep") from error
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(DEPTH_MAX + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise Malformed(f"nested too deep; expected at most {DEPTH_MAX} levels")


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


def _whole(text: str) -> int:
    value = int(text)
    if abs(value) >= WHOLE_MAX:
        raise Malformed(f"{text[:40]} is too large; expected a whole number within ±2^63")
    return value
