"""A sequence that is made when somebody first looks into it: what decides need not wait for what explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Deferred(Sequence[T]):
    """Reads like the tuple that ``make`` returns. It is called once, by the first reader, and must be pure."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], tuple[T, ...]]) -> None:
        self._make: Callable[[], tuple[T, ...]] | None = make
        self._made: tuple[T, ...] = ()

    def _items(self) -> tuple[T, ...]:
        make = self._make
        if make is not None:
            self._made = make()
            self._make = None  # and with it everything that it was made from
        return self._made

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...

    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        return self._items()[at]

    def __len__(self) -> int:
        return len(self._items())

    def __eq__(self, other: object) -> bool:
        """Equal to any tuple or other sequence of this kind that holds the same."""
        if isinstance(other, tuple | Deferred):
            return self._items() == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._items())

    def __reduce__(self) -> tuple[type, tuple[tuple[T, ...]]]:
        """Stored as the tuple: what it would be made from stays where it is."""
        return tuple, (self._items(),)

    def __repr__(self) -> str:
        return repr(self._items())
