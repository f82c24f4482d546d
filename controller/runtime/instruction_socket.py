"""Instructions of operators over a Unix socket; who may write there decides the file's group, who wrote the kernel."""

from __future__ import annotations

import asyncio
import math
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
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
_QUIET_S = 10.0
_PEER = struct.Struct("3i")


@dataclass(eq=False, slots=True)
class _Talk:
    """One connection: whose, and whether a line of it is being judged."""

    uid: int
    writer: asyncio.StreamWriter
    judged: bool = False


class InstructionSocket:
    """Reads lines and answers each, one after the other per connection.

    A line is at most 4 kB and comes within ten seconds; the ninth connection is turned away. Whoever breaks that is cut
    off, and told why where he can still hear it. No account can keep another out: while all places are taken, one that
    has fewer of them takes one of the account that has most, one that says nothing first. Lines say what is asked, the
    kernel who asks: the issuer is the account of the peer. A socket with ``desks`` is the platform's: whoever may write
    there speaks for one of these, and for no operator.
    """

    def __init__(
        self, path: Path, clock: Clock, desk: InstructionDesk, desks: Mapping[str, Owner] | None = None
    ) -> None:
        self.path = path
        self._clock = clock
        self._desk = desk
        self._desks = desks
        self._server: asyncio.Server | None = None
        self._talks: dict[_Talk, asyncio.Task[None]] = {}
        self._told_at_s = -math.inf

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
        talks = list(self._talks.values())
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()
        self.path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A task of our own for every peer: asyncio's would complain in the log when it is cancelled at the end."""
        talk = _Talk(uid_of(writer.get_extra_info("socket")), writer)
        if len(self._talks) >= _CONNECTIONS_MAX and not self._make_room(talk.uid):
            writer.write(write_answer("", False, f"{_CONNECTIONS_MAX} peers talk already; say it again in a while"))
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._talk(talk, reader))
        self._talks[talk] = task
        task.add_done_callback(lambda _: self._talks.pop(talk, None))

    def _make_room(self, uid: int) -> bool:
        """Cut off one of the account that has most places, if that has more than the one that asks."""
        places = Counter(talk.uid for talk in self._talks)
        greedy, most = places.most_common(1)[0]
        if most <= places[uid]:
            return False
        # In the order of arrival, those first that say nothing: a line that is judged is answered within a cycle.
        talk = min((t for t in self._talks if t.uid == greedy), key=lambda t: t.judged)
        self._tell_cut_off(f"all {_CONNECTIONS_MAX} places were taken, {most} of them by {_account_number(greedy)}")
        talk.writer.write(write_answer("", False, f"another account needs the place; yours had {most}"))
        _hang_up(talk.writer)
        self._talks.pop(talk).cancel()
        return True

    def _tell_cut_off(self, reason: str) -> None:
        """Whoever comes again and again must not fill the log."""
        now_s = self._clock.real_s(self._clock.now_s())
        if now_s - self._told_at_s >= _QUIET_S:
            self._told_at_s = now_s
            _log.warning("instruction.cut_off", reason=reason)

    async def _talk(self, talk: _Talk, reader: asyncio.StreamReader) -> None:
        writer = talk.writer
        try:
            issuer = await asyncio.to_thread(_account_of, talk.uid)
            while line := await asyncio.wait_for(reader.readline(), _LINE_S):
                talk.judged = True
                writer.write(await self._judged(line, issuer))
                talk.judged = False
                await asyncio.wait_for(writer.drain(), _LINE_S)
        except ValueError:
            _log.warning("instruction.cut_off", reason=f"a line is longer than {LINE_BYTES_MAX} bytes")
            await asyncio.sleep(_NONSENSE_S)
            writer.write(write_answer("", False, f"malformed: expected a line of at most {LINE_BYTES_MAX} bytes"))
        except (TimeoutError, OSError) as error:
            _log.warning("instruction.cut_off", reason=str(error) or type(error).__name__)
        finally:
            _hang_up(writer)

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
        if accepted and asked.owner is Owner.OPERATOR and (why := await self._desk.unkept()):
            _log.warning("instruction.unkept", subject=asked.id, reason=why)
            text = f"{text}; NOT KEPT over a restart of the controller: {why}"
        return write_answer(asked.id, accepted, text)


def uid_of(peer: socket.socket) -> int:
    """Number of the account that the kernel says the peer runs under."""
    _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)


def _account_of(uid: int) -> str:
    """Name of that account; looking it up may take as long as a directory service does."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return _account_number(uid)


def _account_number(uid: int) -> str:
    return f"uid{uid}"


def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Who does not read what it is told is cut off at once: the connection would stay for as long as it likes."""
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    writer.close()
