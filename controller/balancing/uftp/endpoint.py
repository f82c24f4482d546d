"""Where signed messages come in: one path, POST only, over TLS, a cap and a deadline on everything a peer may send.

The answer to a message is 200 or an error of transport; what the desk thinks of it goes back as a message of its own
(UFTP 3.1, "Error handling"). The library's own service has no caps and answers replays, so it is not used here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog

_log = structlog.get_logger()

PATH = "/shapeshifter/api/v3/message"
BYTES_MAX = 1 << 18
HEAD_BYTES_MAX = 8192
HEAD_S, BODY_S = 5.0, 10.0
CONNECTIONS_MAX = 16
NONSENSE_S = 0.1
"""What is refused here waits so long for its answer: it comes from anybody, and each costs a line in the log."""

Receive = Callable[[bytes], Awaitable[int]]
"""Takes the body of a message; the status to answer with."""


class BadRequest(Exception):
    """What is wrong with the request, as HTTP says it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Endpoint:
    """One request per connection; the seventeenth connection at a time is turned away."""

    def __init__(self, host: str, port: int, receive: Receive, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._host, self._receive, self._tls = host, receive, tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; ``port`` is the real one afterwards. Raises OSError."""
        handshake_s = None if self._tls is None else HEAD_S
        self._server = await asyncio.start_server(
            self._accept,
            self._host,
            self.port,
            ssl=self._tls,
            limit=HEAD_BYTES_MAX,
            ssl_handshake_timeout=handshake_s,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Hang up and stop listening; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A task of our own for every peer: asyncio's would complain in the log when it is cancelled at the end."""
        if len(self._open) >= CONNECTIONS_MAX:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            status = await self._answered(reader)
            if status >= HTTPStatus.BAD_REQUEST:
                await asyncio.sleep(NONSENSE_S)
            text = f"HTTP/1.1 {status} {_phrase(status)}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(text.encode())
            async with asyncio.timeout(BODY_S):
                await writer.drain()
        except asyncio.CancelledError:
            if self._server is not None:  # else hung up by aclose: a talk that ends as cancelled is logged as a fault
                raise
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            _log.warning("market.cut_off", reason=str(error) or type(error).__name__)
        finally:
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader) -> int:
        try:
            async with asyncio.timeout(HEAD_S):
                length = await _content_length(reader)
            async with asyncio.timeout(BODY_S):
                body = await reader.readexactly(length)
        except BadRequest as error:
            _log.warning("market.refused", sender="", kind="", reason=str(error))
            return error.status
        return await self._receive(body)


async def _content_length(reader: asyncio.StreamReader) -> int:
    """Read the head of a request and say how long its body is. Raises BadRequest."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    except (asyncio.LimitOverrunError, UnicodeDecodeError) as error:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"head: {error}") from error
    request, *lines = head.split("\r\n")
    words = request.split(" ")
    if len(words) != 3 or words[1].split("?")[0] != PATH:
        raise BadRequest(HTTPStatus.NOT_FOUND, f"request {request[:80]!r}; expected POST {PATH}")
    if words[0] != "POST":
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, f"{words[0][:20]}; expected POST")
    return _length_of(dict(_field(line) for line in lines if ":" in line))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _length_of(fields: dict[str, str]) -> int:
    if not fields.get("content-type", "").lower().startswith("text/xml"):
        raise BadRequest(
            HTTPStatus.BAD_REQUEST, f"Content-Type {fields.get('content-type', '')[:40]!r}; expected text/xml"
        )
    text = fields.get("content-length", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 12) or "transfer-encoding" in fields:
        raise BadRequest(HTTPStatus.LENGTH_REQUIRED, "no Content-Length; expected one")
    if int(text) > BYTES_MAX:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{text} bytes; expected at most {BYTES_MAX}")
    return int(text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
