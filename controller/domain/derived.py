"""What follows from a value that never changes is worked out once for each, not at every place that asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Derived(Generic[K, T]):
    """The answer of ``work`` for the frozen value asked about last; it stays true, for the value never changes."""

    def __init__(self, work: Callable[[K], T]) -> None:
        self._work = work
        self._last: tuple[K, T] | None = None

    def of(self, value: K) -> T:
        """What follows from this one; another one that equals it is worked out anew."""
        if self._last is None or self._last[0] is not value:
            self._last = value, self._work(value)
        return self._last[1]
