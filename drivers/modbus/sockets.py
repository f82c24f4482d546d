"""TCP sockets for the event loop, many of them for the price of one wake-up.

All sockets of a loop hang on one epoll descriptor, and only that one hangs on the loop: however many devices have
answered, the loop runs one callback. The default transport costs about as much as the rest of an exchange.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar
from weakref import WeakKeyDictionary

from drivers.modbus.link import Link

GENTLY, AT_ONCE = struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)
"""How a socket is closed (SO_LINGER): what was sent is delivered first, or all of it is forgotten.

A request that nobody acknowledged must be forgotten: the system would go on repeating it on the closed socket, and a
write could reach its device after it was given up and something else was commanded.
"""


class Hub:
    """The sockets of one event loop; exists while there are any."""

    _hubs: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._transports: dict[int, SocketTransport] = {}
        self._receiving = False
        self._afterwards: list[Callable[[], None]] = []
        loop.add_reader(self._epoll.fileno(), self._ready)

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Hub:
        """The hub of ``loop``, a new one if it has none."""
        found = cls._hubs.get(loop)
        if found is None:
            found = cls._hubs[loop] = cls(loop)
        return found

    @classmethod
    def present(cls, loop: asyncio.AbstractEventLoop) -> Hub | None:
        """The hub of ``loop``, if it has one now."""
        return cls._hubs.get(loop)

    def afterwards(self, call: Callable[[], None]) -> bool:
        """Have ``call`` called when all that is here now has been received; False when nothing is being received."""
        if self._receiving:
            self._afterwards.append(call)
        return self._receiving

    def add(self, descriptor: int, transport: SocketTransport) -> None:
        """Call ``transport.readable`` whenever there is something to receive."""
        self._transports[descriptor] = transport
        self._epoll.register(descriptor, select.EPOLLIN)

    def remove(self, descriptor: int) -> None:
        """Look after it no more."""
        self._epoll.unregister(descriptor)
        del self._transports[descriptor]
        if not self._transports:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            del self._hubs[self._loop]

    def _ready(self) -> None:
        transport_of = self._transports.get
        self._receiving = True
        try:
            for descriptor, _ in self._epoll.poll(0):
                transport = transport_of(descriptor)
                if transport is not None:  # an earlier one in this round may have ended it
                    transport.readable()
        finally:
            self._receiving = False
            while self._afterwards:
                self._afterwards.pop()()


class SocketTransport:
    """A connected, non-blocking socket that receives for a :class:`~drivers.modbus.link.Link`.

    It is read and written by its number, which spares what a socket object brings into the cache; never once closed.
    """

    __slots__ = ("_closing", "_descriptor", "_hub", "_link", "_loop", "_sock")

    def __init__(self, sock: socket.socket, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._descriptor = sock.fileno()
        self._link = link
        self._loop = loop
        self._closing = False
        self._hub = Hub.of(loop)
        self._hub.add(self._descriptor, self)
        link.connection_made(self)

    def write(self, data: bytes) -> None:
        """Send; a peer that leaves no room for a request of 260 bytes is not reading and is given up."""
        if self._closing:
            return
        try:
            sent = os.write(self._descriptor, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(error)
            return
        if sent != len(data):
            self._end(OSError("the device does not read what it is sent"))

    def readable(self) -> None:
        """Receive once."""
        try:
            data = os.read(self._descriptor, self._link.room)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._link.received(data)
        else:
            self._end(None)

    def abort(self) -> None:
        """Close at once."""
        self._end(None)

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._hub.remove(self._descriptor)
        if not self._link.owing:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, GENTLY)
        self._sock.close()
        self._loop.call_soon(self._link.connection_lost, error)
