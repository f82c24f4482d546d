"""RTU on a serial line: the port, set up by termios, as a transport for :class:`~drivers.modbus.link.Link`.

Frames are recognised by their length and checksum and not by the silence behind them, which a USB adapter blurs by
up to 16 ms (its latency timer). Between frames the line is left silent for t3.5; a silence inside a frame that no
adapter explains breaks the frame.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
from contextlib import suppress

from drivers.modbus.endpoint import SerialLine
from drivers.modbus.link import Link

GAP_S = 0.04
"""Longest silence inside one frame: twice what adapters add, and above t3.5 at 1200 baud. t1.5 cannot be seen here."""
RESYNC_S = 0.05
"""After a fault the line is listened to this long before anything is sent."""

_BAUDS = {
    1200: termios.B1200,
    2400: termios.B2400,
    4800: termios.B4800,
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}


def open_port(path: str, line: SerialLine, link: Link, loop: asyncio.AbstractEventLoop) -> None:
    """Open the port for this process alone and let ``link`` use it; OSError says why it cannot be."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        _set_up(descriptor, line)
    except termios.error as error:
        os.close(descriptor)
        raise OSError(error.args[0], f"is no serial line: {error.args[-1]}") from error
    except OSError:
        os.close(descriptor)
        raise
    SerialTransport(descriptor, link, loop)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(error.errno, "is used by another process or device (one connection for each line)") from error


def _set_up(descriptor: int, line: SerialLine) -> None:
    """Raw bytes, 8 data bits, no flow control; what waited in the port is thrown away."""
    control = termios.CS8 | termios.CREAD | termios.CLOCAL
    if line.parity != "N":
        control |= termios.PARENB | (termios.PARODD if line.parity == "O" else 0)
    if line.stop == 2:
        control |= termios.CSTOPB
    characters: list[bytes | int] = list(termios.tcgetattr(descriptor)[6])
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    # A character with a parity error is dropped: the checksum or the length of its frame will not be right.
    read = termios.INPCK | termios.IGNPAR if line.parity != "N" else 0
    speed = _BAUDS[line.baud]
    settings: list[int | list[bytes | int]] = [read, 0, control, 0, speed, speed, characters]
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    termios.tcflush(descriptor, termios.TCIOFLUSH)


class SerialTransport:
    """An open port that receives into a link."""

    __slots__ = ("_closing", "_descriptor", "_link", "_loop")

    def __init__(self, descriptor: int, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._descriptor = descriptor
        self._link = link
        self._loop = loop
        self._closing = False
        loop.add_reader(descriptor, self._readable)
        link.connection_made(self)

    def write(self, data: bytes) -> None:
        """Send; a port that does not take a whole request at once is given up."""
        if self._closing:
            return
        try:
            sent = os.write(self._descriptor, data)
        except OSError as error:
            self._end(error)
            return
        if sent != len(data):
            self._end(OSError("the port does not take what it is sent"))

    def abort(self) -> None:
        """Close at once."""
        self._end(None)

    def _readable(self) -> None:
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
            self._end(OSError("the port is gone"))

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._descriptor)
        with suppress(termios.error):  # of a port that is gone
            # What has not gone out belongs to a request that was given up. It must not arrive after all, and the system
            # would hold up everybody until it has: 2 s for a long write at 1200 baud.
            termios.tcflush(self._descriptor, termios.TCOFLUSH)
        os.close(self._descriptor)
        self._loop.call_soon(self._link.connection_lost, error)
