"""HTTP/1.1 over TLS, as little of it as a platform needs, so that its bytes can also be wrong on purpose.

Without a context it is spoken in the clear, to neighbours on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

_LINE_S = 30.0
_HEADERS_MAX = 64
_BODY_BYTES_MAX = 4 << 20
_REASONS = {200: "OK", 201: "Created", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as a document. Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer and how it is sent: ``delay_s`` late, cut after ``send_frac`` of the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    send_frac: float = 1.0


def json_response(status: int, document: Any, **headers: str) -> Response:
    """A document as an answer; NaN goes out as NaN, as bad platforms do."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(document).encode(), {"Content-Type": "application/json", **named})


class HttpServer:
    """Serves on loopback until closed; ``port`` is known after :meth:`open`."""

    def __init__(self, handle: Callable[[Request], Response], context: ssl.SSLContext | None) -> None:
        self.port = 0
        self._handle = handle
        self._context = context
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen; port 0 takes a free one. OSError when it is taken."""
        self._server = await asyncio.start_server(self._talk, host, port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Hang up on everybody; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
        try:
            while (request := await asyncio.wait_for(_read(reader), _LINE_S)) is not None:
                if not await _send(writer, self._handle(request), request.method):
                    break
        except asyncio.CancelledError:
            if self._server is not None:  # else hung up by aclose: a talk that ends as cancelled is logged as a fault
                raise
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            pass  # whoever breaks off here has nothing to be told
        finally:
            if task is not None:
                self._talks.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the peer is gone. ValueError when it is none."""
    first = await reader.readline()
    if not first:
        return None
    method, target, _ = first.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) and len(headers) < _HEADERS_MAX:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _BODY_BYTES_MAX:
        raise ValueError(f"a body of {length} bytes; expected at most {_BODY_BYTES_MAX}")
    url = urlsplit(target)
    return Request(method, url.path, parse_qs(url.query), headers, await reader.readexactly(length))


async def _send(writer: asyncio.StreamWriter, answer: Response, method: str) -> bool:
    """Whether the connection is still of use."""
    await asyncio.sleep(answer.delay_s)
    head = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    head += [f"Content-Length: {len(answer.body)}"]
    body = b"" if method == "HEAD" else answer.body[: int(len(answer.body) * answer.send_frac)]
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
    await writer.drain()
    return answer.send_frac >= 1.0
