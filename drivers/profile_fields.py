"""Strict reading of one mapping of a profile file: keys known, values of their type, faults with a path."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

SHOWN_MAX = 200
_NUMBER_MAX = sys.float_info.max  # compared and not converted: a whole number of 400 digits is none


class ProfileError(ValueError):
    """A profile table is refused; the text names the file, the place, what stands there and what is expected."""


class Fields:
    """One YAML mapping that is taken apart key by key; :meth:`done` refuses whatever nobody asked for."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise ProfileError(f"{where}: got {data!r}; expected a mapping")
        self._data: dict[str, Any] = {str(key): value for key, value in data.items()}
        self._asked: set[str] = set()
        self.where = where

    def fail(self, key: str, expected: str) -> ProfileError:
        """The error for what stands at ``key``."""
        got = f"got {_shown(self._data[key])}" if key in self._data else "is missing"
        return ProfileError(f"{self.where}.{key}: {got}; expected {expected}")

    def has(self, key: str) -> bool:
        """True when ``key`` is given; counts as asked for."""
        self._asked.add(key)
        return key in self._data

    def is_list(self, key: str) -> bool:
        """True when a list is given at ``key``; counts as asked for."""
        return self.has(key) and isinstance(self._data[key], list)

    def text(self, key: str, default: str | None = None, *, one_of: Iterable[str] = ()) -> str:
        """A non-empty text, one of ``one_of`` when that is given."""
        allowed = tuple(one_of)
        expected = f"one of {', '.join(allowed)}" if allowed else "a non-empty text"
        value = self._take(key, default, expected)
        if not isinstance(value, str) or not value.strip() or (allowed and value not in allowed):
            raise self.fail(key, expected)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._take(key, default, "a finite number")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _NUMBER_MAX:
            raise self.fail(key, "a finite number")
        return float(value)

    def integer(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        expected = f"a whole number from {low} to {high}"
        value = self._take(key, default, expected)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(key, expected)
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A non-empty list of non-empty texts (``default`` when the key is absent)."""
        expected = "a list of texts"
        value = self._take(key, default, expected)
        if value is default and default is not None:
            return default
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self.fail(key, expected)
        return tuple(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers, empty when the key is absent."""
        value = self._take(key, [], "a list of whole numbers")
        if not isinstance(value, list) or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
            raise self.fail(key, "a list of whole numbers")
        return tuple(value)

    def table(self, key: str) -> Mapping[str, object]:
        """A mapping of anything, empty when the key is absent."""
        value = self._take(key, {}, "a mapping")
        if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
            raise self.fail(key, "a mapping with texts as keys")
        return value

    def rows(self, key: str) -> tuple[object, ...]:
        """A list of anything, empty when the key is absent."""
        value = self._take(key, [], "a list")
        if not isinstance(value, list):
            raise self.fail(key, "a list")
        return tuple(value)

    def done(self) -> None:
        """Refuse keys that were never asked for."""
        for key in self._data:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise ProfileError(f"{self.where}.{key}: unknown key; expected one of {known}")

    def _take(self, key: str, default: object, expected: str) -> object:
        self._asked.add(key)
        if key in self._data:
            return self._data[key]
        if default is None:
            raise self.fail(key, expected)
        return default


def _shown(value: object) -> str:
    """As Python writes it, as far as anybody reads."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"  # which Python refuses to write
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
