"""Simulated devices on a serial line: a pseudo terminal, under the name that the site file gives to the port.

Behind it is the same server as everywhere, framing as RTU on a port of the loopback; here bytes are only carried.
"""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import tty
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from simulators.adapters.modbus_server import ModbusServer
from simulators.device import SimulatedDevice

_HOST = "127.0.0.1"
_PIECE = 4096


class SerialLine:
    """Units on one line; ``path`` becomes a link to the pseudo terminal while it runs."""

    def __init__(self, path: str, devices: Sequence[tuple[int, SimulatedDevice]]) -> None:
        self._path = Path(path)
        self._devices = devices
        self._server: ModbusServer | None = None
        self._ends: tuple[int, int] | None = None
        self._carrier: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        """Make the terminal; OSError when something else is at ``path``, which is left alone."""
        if self._path.is_symlink() and not self._path.exists():
            self._path.unlink()  # of a simulator that was killed
        if self._path.is_symlink() or self._path.exists():
            raise OSError(f"{self._path} exists; expected a free name for the simulated serial line")
        try:
            await self._connect()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take the terminal away, as when an adapter is unplugged; safe to call twice."""
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.cancel()
            await asyncio.gather(carrier, return_exceptions=True)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        ends, self._ends = self._ends, None
        if ends is not None:
            asyncio.get_running_loop().remove_reader(ends[0])
            if self._path.is_symlink():
                self._path.unlink()
            for end in ends:
                os.close(end)
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _connect(self) -> None:
        port = _free_port()
        self._server = ModbusServer([(_HOST, port, unit, device) for unit, device in self._devices], rtu=True)
        await self._server.start()
        self._ends = master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._path.symlink_to(os.ttyname(slave))
        reader, self._writer = await asyncio.open_connection(_HOST, port)
        asyncio.get_running_loop().add_reader(master, self._asked, master, self._writer)
        self._carrier = asyncio.create_task(_carry(reader, master), name=f"serial line {self._path}")

    def _asked(self, master: int, writer: asyncio.StreamWriter) -> None:
        """Bytes of the controller."""
        with suppress(OSError):  # nobody has the terminal open any more
            writer.write(os.read(master, _PIECE))


async def _carry(reader: asyncio.StreamReader, master: int) -> None:
    """Bytes of the devices, until the server closes; what nobody reads is lost, as on a line."""
    while data := await reader.read(_PIECE):
        with suppress(OSError):
            os.write(master, data)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
