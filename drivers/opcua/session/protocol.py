"""The connection under asyncua's secure channel: chunks are cut out here, and nothing is buffered that is not due."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.uaerrors import UaError
from cryptography.exceptions import InvalidSignature

from drivers.opcua.session.binary import Reader
from drivers.opcua.session.datavalue import status_name
from drivers.opcua.session.opening import check_opening
from drivers.opcua.session.services import FAULT, Service, answer_head
from drivers.tape.records import Kind

CHUNK_BYTES_MAX = 65_535
"""Largest chunk that we negotiate; a peer that announces a larger one is cut off before it is buffered."""
CHUNK_BYTES_MIN = 8_192
"""Smallest that a peer may ask us to send (OPC 10000-6, 6.7.1); less would make us send thousands."""
MESSAGE_BYTES_MAX = 1 << 17
CHUNKS_MAX = 16
OPENING_BYTES_MAX = 1024
"""Largest part of a message that opens a channel which has to be decrypted with our private key.

For as many bytes as the key has that takes 0.25 ms (2048 bits) to 2 ms (4096), in which nothing else of the process
runs, and it is done before anybody knows who sent it. An honest server sends two or three such blocks; a chunk could
hold 256.
"""
_HEADER = struct.Struct("<3scI")
_WORD_BYTES_MAX = 8_192  # of an Acknowledge or an Error


class LinkError(UaError):
    """The connection is of no use any more; the text says why, for an engineer. asyncua lets it through as it is."""


class RefusedError(LinkError):
    """The server turned a request down, with that ``status``; the connection itself is well."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


Note = Callable[[Kind, bytes], None]
"""Takes what goes over a connection, to be recorded."""


def unrecorded(_kind: Kind, _content: bytes) -> None:
    """Nobody records."""


FAULTS = (
    OSError,
    TimeoutError,
    UaError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    struct.error,
    InvalidSignature,
    RecursionError,
)
"""What asyncua lets through when a peer is away, refuses, or sends what it cannot parse."""


def _stay_flat(flat: list[Any], dims: list[int]) -> list[Any]:
    del dims  # a matrix is a list to us: its dimensions may claim a million elements that are not there
    return flat


class _NoNullArrays:
    """An array of nulls takes no bytes: 30 bytes that announce 2³¹ of them would take asyncua's decoder 17 GB."""

    @staticmethod
    def unpack_array(_data: object, length: int) -> list[None]:
        if length > 0:
            raise ValueError(f"server sent an array of {length} nulls")
        return []


# What connects (channel, session, endpoints) is still decoded by asyncua, which believes dimensions and null arrays.
ua_binary.Primitives1.Null = _NoNullArrays  # type: ignore[attr-defined]
ua_binary._reshape = _stay_flat


class Caps(TransportLimits):
    """Our own limits on what we receive, whatever the server acknowledges (asyncua takes the server's word)."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take what the server says about sending only."""
        if msg.ReceiveBufferSize < CHUNK_BYTES_MIN:
            raise LinkError(f"server takes chunks of {msg.ReceiveBufferSize} bytes; expected {CHUNK_BYTES_MIN} or more")
        self.max_send_buffer = min(CHUNK_BYTES_MAX, msg.ReceiveBufferSize)
        self.max_recv_buffer = CHUNK_BYTES_MAX
        self.max_chunk_count = CHUNKS_MAX
        self.max_message_size = MESSAGE_BYTES_MAX


class GuardedProtocol(UASocketProtocol):
    """asyncua's protocol with a framing of its own: a cap on every chunk, and the end at the first doubt."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pending = bytearray()
        self._noted: set[int] = set()
        self.fault = ""
        self.note: Note = unrecorded
        """Who records the requests of :meth:`ask` and their answers; never what makes a channel or a session."""

    def data_received(self, data: bytes) -> None:
        """Take every whole chunk; cut the connection when one is not what may come now."""
        self._pending += data
        try:
            while (chunk := self._next_chunk()) is not None:
                self._take(chunk)
        except LinkError as fault:
            self.cut(fault)
        except FAULTS as fault:
            self.cut(LinkError(f"server sent what cannot be read: {type(fault).__name__} {fault}"[:300]))

    def cut(self, fault: LinkError) -> None:
        """End the connection now; whoever waits gets ``fault``, and whoever comes later can read it."""
        self.fault = self.fault or str(fault)
        self._fail_all_pending(fault)
        self._pending.clear()
        if self.transport is not None:
            self.transport.abort()

    async def ask(self, service: Service, parameters: bytes) -> Reader:
        """Send a request and return what follows the head of its answer.

        Waits without a limit of its own: whoever asks holds a deadline and ends the session when it has passed. Raises
        :class:`LinkError` for a fault and for a service result that is not good.
        """
        header = ua.RequestHeader()
        self._setup_request_header(header, self.timeout)
        body = service.request + ua_binary.struct_to_binary(header) + parameters
        asked = self._post(body)
        self._noted.add(self._request_id)
        number, handle = self._request_id.to_bytes(4, "little"), header.RequestHandle
        self.note(Kind.ASKED, number + handle.to_bytes(4, "little") + service.request + parameters)
        answer = await asked
        return checked(service, handle, answer.read(len(answer)))

    def _post(self, body: bytes) -> asyncio.Future[Any]:
        if self.transport is None or self.transport.is_closing():
            raise LinkError("the server closed the connection")
        self._request_id += 1
        self.revolve_security_token()
        message = self._connection.message_to_binary(body, request_id=self._request_id)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._callbackmap[self._request_id] = future
        self.transport.write(message)
        return future

    def _next_chunk(self) -> bytes | None:
        """The next whole chunk; None when more has to come."""
        if len(self._pending) < _HEADER.size:
            if self._pending[:3] and not any(kind.startswith(self._pending[:3]) for kind in _KINDS):
                raise LinkError(f"server sent {bytes(self._pending)!r}; expected OPC UA")
            return None
        kind, final, size = _HEADER.unpack_from(self._pending)
        if kind not in _KINDS or final not in b"FCA":
            raise LinkError(f"server sent {bytes(self._pending[:8])!r}; expected OPC UA")
        limit = CHUNK_BYTES_MAX if kind in (b"MSG", b"OPN") else _WORD_BYTES_MAX
        if not _HEADER.size <= size <= limit:
            raise LinkError(f"server announced a chunk of {size} bytes; expected at most {limit}; cut off")
        if final == b"A":
            raise LinkError("server broke off an answer")
        if len(self._pending) < size:
            return None
        chunk = bytes(self._pending[:size])
        del self._pending[:size]
        return chunk

    def _take(self, chunk: bytes) -> None:
        if chunk[:3] == b"ERR":
            reader = Reader(chunk[_HEADER.size :])
            raise LinkError(f"server says {status_name(reader.u32())}: {reader.text()[:200]}")
        if chunk[:3] == b"OPN":
            self._check_opens(chunk)
        buffer = Buffer(chunk)
        header = ua_binary.header_from_binary(buffer)
        message = self._connection.receive_from_header_and_body(header, buffer)
        if isinstance(message, ua.Acknowledge):
            self._answer(0, message)
        elif isinstance(message, ua.Message):
            body: Buffer = message.body()  # type: ignore[no-untyped-call]
            self._heard(message.request_id(), body)  # type: ignore[no-untyped-call]
            type_id, _, result, reader = answer_head(body.copy().read(len(body)))
            check_opening(type_id, reader)
            if chunk[:3] == b"OPN":
                if result >> 30:
                    raise LinkError(f"server refuses the channel: {status_name(result)}")
                self._opened(body.copy())
            self._answer(message.request_id(), body)  # type: ignore[no-untyped-call]

    def _check_opens(self, chunk: bytes) -> None:
        """Raises :class:`LinkError` unless we asked for a channel and this takes little of our private key's time."""
        if not isinstance(self._open_secure_channel_exchange, ua.OpenSecureChannelParameters):
            raise LinkError("server opened a channel that nobody asked for")
        if chunk[3:4] != b"F":
            raise LinkError("server opened a channel in several chunks; expected one")
        reader = Reader(chunk)
        reader.skip(_HEADER.size + 4)  # and the channel's number
        for _ in range(3):  # policy, certificate, thumbprint
            reader.blob(CHUNK_BYTES_MAX)
        left = len(chunk) - reader.at
        if left > OPENING_BYTES_MAX:
            raise LinkError(
                f"server opened a channel with {left} bytes to decrypt; expected {OPENING_BYTES_MAX} or less"
            )

    def _heard(self, request_id: int, body: Buffer) -> None:
        if request_id in self._noted:
            self._noted.discard(request_id)
            self.note(Kind.ANSWERED, request_id.to_bytes(4, "little") + body.copy().read(len(body)))

    def _answer(self, request_id: int, answer: object) -> None:
        future = self._callbackmap.pop(request_id, None)
        if future is None:
            raise LinkError(f"server answered request {request_id}, which nobody waits for")
        if not future.done():
            future.set_result(answer)

    def _opened(self, body: Buffer) -> None:
        """The channel's keys, as asyncua takes them over."""
        asked = self._open_secure_channel_exchange
        assert isinstance(asked, ua.OpenSecureChannelParameters)
        response = ua_binary.struct_from_binary(ua.OpenSecureChannelResponse, body)
        response.ResponseHeader.ServiceResult.check()
        # asyncua holds the server's time against ours to say when the token before this one has run out. A server whose
        # clock is hours slow would lose every subscription at every renewal, over the answer that was on its way.
        response.Parameters.SecurityToken.CreatedAt = datetime.now(UTC)
        self._open_secure_channel_exchange = response
        self._connection.set_channel(response.Parameters, asked.RequestType, asked.ClientNonce)


def checked(service: Service, handle: int, answer: bytes) -> Reader:
    """What follows the head of an answer.

    Raises :class:`RefusedError` for a service result that is not good, :class:`LinkError` for the answer to another
    request.
    """
    type_id, told, result, reader = answer_head(answer)
    if result >> 30 or type_id == FAULT:
        raise RefusedError(f"{service.name}: server says {status_name(result)}", result)
    if type_id != service.answer or told != handle:
        raise LinkError(f"{service.name}: server sent the answer to another request")
    return reader


_KINDS = (b"ACK", b"ERR", b"OPN", b"MSG")
