"""What follows from a linear grid alone is worked out once for each, not in every cycle that uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from controller.grid.model import LinearGrid

T = TypeVar("T")


class Derived(Generic[T]):
    """The answer of ``work`` for the grid asked about last; a grid never changes, so that it stays true of it."""

    def __init__(self, work: Callable[[LinearGrid], T]) -> None:
        self._work = work
        self._last: tuple[LinearGrid, T] | None = None

    def of(self, grid: LinearGrid) -> T:
        """What follows from this one."""
        if self._last is None or self._last[0] is not grid:
            self._last = grid, self._work(grid)
        return self._last[1]
