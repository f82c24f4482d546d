"""A socket under TLS that takes no more than a device can have to say.

What TLS says to itself after the handshake (key updates, tickets, warnings) reaches no protocol of ours, and each piece
is computed on: a device that sends nothing else, as fast as it can, held the event loop for half a second at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

PIECE = 1024
"""Bytes in one turn of the loop: some forty key updates, a millisecond."""
HANDSHAKE_MAX = 131_072
"""A chain of certificates may be long."""
SPARE_MAX = 16_384
"""What may come beside answers: the tickets of a server that puts our certificate into each of them."""
PER_REQUEST = 1024
"""For an answer of 260 bytes in whatever records."""


class RationedSocket(socket.socket):
    """Counts what comes; ``asked`` tells how many requests have been sent so far."""

    def __init__(self, family: int, kind: int, asked: Callable[[], int]) -> None:
        super().__init__(family, kind)
        self._asked = asked
        self._paid = 0
        self._left = HANDSHAKE_MAX

    def begin_rationing(self) -> None:
        """The handshake is over."""
        self._left, self._paid = SPARE_MAX, self._asked()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Like that of any socket, a piece at a time. Raises ``OSError`` when too much has come."""
        asked = self._asked()
        if asked != self._paid:
            self._left = min(SPARE_MAX, self._left + PER_REQUEST * (asked - self._paid))
            self._paid = asked
        if self._left <= 0:
            raise OSError("a flood inside TLS: more than its answers, and no data")
        got = super().recv_into(buffer, min(PIECE, len(buffer), nbytes or PIECE), flags)
        self._left -= got
        return got
