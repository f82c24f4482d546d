"""Instructions of operators over a Unix socket; who may write there decides the file's group, who wrote the kernel."""

from __future__ import annotations

import asyncio
import pwd
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

import structlog

from controller.clock import utc_s
from controller.domain.owner import Owner
from controller.ports import Clock
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.instruction_wire import LINE_BYTES_MAX, read_instruction, write_answer
from controller.runtime.record_socket import somebody_listens

_log = structlog.get_logger()

_MODE = 0o660
_CONNECTIONS_MAX = 8
_LINE_S = 10.0
_ANSWER_S = 30.0
_NONSENSE_S = 0.1
"""What cannot be read waits so long for its answer: a flood of it must not take the processor of the fast loop."""
_PEER = struct.Struct("3i")


class InstructionSocket:
    """Reads lines and answers each, one after the other per connection.

    A line is at most 4 kB and comes within ten seconds; the ninth connection is turned away. Whoever breaks that is cut
    off, and told why where he can still hear it. Lines say what is asked, the kernel who asks: the issuer is the
    account of the peer. A socket with ``desks`` is the platform's: whoever may write there speaks for one of these, and
    for no operator.
    """

    def __init__(
        self, path: Path, clock: Clock, desk: InstructionDesk, desks: Mapping[str, Owner] | None = None
    ) -> None:
        self.path = path
        self._clock = clock
        self._desk = desk
        self._desks = desks
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen, for the owner and the group; OSError when another process listens there or the path is bad."""
        if somebody_listens(self.path):
            raise OSError(f"operate socket {self.path}: another process listens there; expected it to be free")
        try:
            self._server = await asyncio.start_unix_server(self._accept, str(self.path), limit=LINE_BYTES_MAX)
        except OSError as error:
            raise OSError(
                f"operate socket {self.path}: {error.strerror or error}; expected a path to create"
            ) from error
        self.path.chmod(_MODE)

    async def aclose(self) -> None:
        """Hang up on everybody, stop listening and remove the socket; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()
        self.path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A task of our own for every peer: asyncio's would complain in the log when it is cancelled at the end."""
        if len(self._talks) >= _CONNECTIONS_MAX:
            writer.write(write_answer("", False, f"{_CONNECTIONS_MAX} peers talk already; say it again in a while"))
            writer.close()
            return
        talk = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            issuer = await asyncio.to_thread(_account_of, writer.get_extra_info("socket"))
            while line := await asyncio.wait_for(reader.readline(), _LINE_S):
                writer.write(await self._judged(line, issuer))
                await asyncio.wait_for(writer.drain(), _LINE_S)
        except ValueError:
            _log.warning("instruction.cut_off", reason=f"a line is longer than {LINE_BYTES_MAX} bytes")
            await asyncio.sleep(_NONSENSE_S)
            writer.write(write_answer("", False, f"malformed: expected a line of at most {LINE_BYTES_MAX} bytes"))
        except (TimeoutError, OSError) as error:
            _log.warning("instruction.cut_off", reason=str(error) or type(error).__name__)
        finally:
            writer.close()

    async def _judged(self, line: bytes, issuer: str) -> bytes:
        """The answer to one line; what cannot be read is refused here, everything else by the next cycle."""
        try:
            asked = read_instruction(line, issuer, utc_s(self._clock), self._desks)
        except ValueError as error:
            _log.warning("instruction.refused", subject="", text=f"{issuer}: {error}")
            await asyncio.sleep(_NONSENSE_S)
            return write_answer("", False, str(error))
        answered: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

        def answer(accepted: bool, text: str) -> None:
            if not answered.done():
                answered.set_result((accepted, text))

        self._desk.submit(asked, answer)
        accepted, text = await asyncio.wait_for(answered, _ANSWER_S)
        return write_answer(asked.id, accepted, text)


def _account_of(peer: socket.socket) -> str:
    """Name of the account that the kernel says the peer runs under."""
    _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid{uid}"
