"""Reading numbers out of a JSON document, with errors that name the key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_SHOWN_MAX = 60


class DocumentError(ValueError):
    """What is wrong with a file that a person wrote: key, value, expectation."""


def parse(text: str) -> Any:
    """The JSON document in ``text``. Raises DocumentError, also where a key of an object stands twice."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError("nested too deep; expected a few levels") from error
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from error


def shown(value: object) -> str:
    """A value as it stands in an error: not longer than a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def block(document: Mapping[str, Any], key: str, where: str = "") -> Mapping[str, Any]:
    """The object under ``key``."""
    value = _required(document, key, where)
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where}{key} is {shown(value)}; expected an object")
    return value


def number(document: Mapping[str, Any], key: str, where: str = "") -> float:
    """The finite number under ``key``."""
    return as_number(_required(document, key, where), f"{where}{key}")


def between(document: Mapping[str, Any], key: str, low: float, high: float, where: str = "") -> float:
    """The number under ``key`` in ``low`` … ``high``."""
    return in_range(number(document, key, where), f"{where}{key}", low, high)


def in_range(value: float, name: str, low: float, high: float) -> float:
    """``value``, when it lies in ``low`` … ``high``."""
    if not low <= value <= high:
        raise DocumentError(f"{name} is {value:g}; expected {low:g}…{high:g}")
    return value


def whole(document: Mapping[str, Any], key: str, where: str = "") -> int:
    """The whole number from 0 under ``key``, exact however large."""
    value = _required(document, key, where)
    if type(value) is not int or value < 0:
        raise DocumentError(f"{where}{key} is {shown(value)}; expected a whole number from 0")
    return value


def optional_number(document: Mapping[str, Any], key: str, default: float, where: str = "") -> float:
    """The finite number under ``key``, or ``default`` when there is none."""
    return number(document, key, where) if key in document else default


def text(document: Mapping[str, Any], key: str, where: str = "") -> str:
    """The string under ``key``."""
    value = _required(document, key, where)
    if not isinstance(value, str):
        raise DocumentError(f"{where}{key} is {shown(value)}; expected text")
    return value


def items(document: Mapping[str, Any], key: str, where: str = "") -> list[Any]:
    """The non-empty list under ``key``."""
    value = _required(document, key, where)
    if not isinstance(value, list) or not value:
        raise DocumentError(f"{where}{key} is {shown(value)}; expected a list that is not empty")
    return value


def numbers(document: Mapping[str, Any], key: str, where: str = "") -> tuple[float, ...]:
    """The list of finite numbers under ``key``."""
    return tuple(as_number(value, f"{where}{key}[{i}]") for i, value in enumerate(items(document, key, where)))


def as_number(value: Any, name: str) -> float:
    """``value`` as a finite float; truth values and text are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DocumentError(f"{name} is {shown(value)}; expected a finite number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise DocumentError(f"{name} is {str(value)[:40]}; expected a finite number")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise DocumentError(f"key {shown(key)} stands twice in one object; expected once")
        out[key] = value
    return out


def _required(document: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in document:
        raise DocumentError(f"{where}{key} is missing")
    return document[key]
