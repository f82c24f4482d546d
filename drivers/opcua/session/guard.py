"""asyncua's client, with what it leaves open closed: memory a peer may claim, logs it may write, tasks it may start."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua import ua_binary
from asyncua.ua.uaerrors import UaError
from cryptography.exceptions import InvalidSignature

from drivers.opcua.security import OpcUaSecurity, fingerprint

CHUNK_BYTES_MAX = 65_535
"""Largest chunk that we negotiate; a peer that announces a larger one is cut off before it is buffered."""
MESSAGE_BYTES_MAX = 1 << 17
CHUNKS_MAX = 16
CHANNEL_LIFETIME_S = 3600.0

_FAULTS = (
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

# Faults reach us as exceptions; without this a hostile peer would write our log at its own pace.
for _name in ("asyncua.client", "asyncua.common", "asyncua.crypto", "asyncua.uaprotocol"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class LinkError(Exception):
    """The connection is of no use any more; the text says why, for an engineer."""


class _NoNullArrays:
    """An array of nulls takes no bytes: 30 bytes that announce 2³¹ of them would take asyncua's decoder 17 GB."""

    @staticmethod
    def unpack_array(_data: object, length: int) -> list[None]:
        if length > 0:
            raise ValueError(f"server sent an array of {length} nulls")
        return []


ua_binary.Primitives1.Null = _NoNullArrays  # type: ignore[attr-defined]


class Caps(TransportLimits):
    """Our own limits on what we receive, whatever the server acknowledges (asyncua takes the server's word)."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take what the server says about sending only."""
        super().update_client_limits(msg)
        self.max_recv_buffer = CHUNK_BYTES_MAX
        self.max_chunk_count = CHUNKS_MAX
        self.max_message_size = MESSAGE_BYTES_MAX


class _GuardedProtocol(UASocketProtocol):
    """asyncua's protocol, which buffers an announced 2 GiB message to its end, with a cap on every chunk."""

    def data_received(self, data: bytes) -> None:
        """Cut the connection when the chunk in the buffer announces more than was negotiated."""
        super().data_received(data)
        pending = self.receive_buffer
        if pending is not None and len(pending) >= 8:
            (announced,) = struct.unpack_from("<I", pending, 4)
            if announced > CHUNK_BYTES_MAX and self.transport is not None:
                self._fail_all_pending(LinkError(f"server announced a chunk of {announced} bytes; cut off"))
                self.receive_buffer = None
                self.transport.abort()


class _GuardedUaClient(UaClient):
    def _make_protocol(self) -> UASocketProtocol:
        caps = Caps(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX)
        self.protocol = _GuardedProtocol(self._timeout, self.security_policy, caps)
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = lambda: True
        return self.protocol


class GuardedClient(Client):
    """A client that only runs the steps it is told to."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, timeout=timeout_s)
        self.uaclient = _GuardedUaClient(timeout_s)
        self.nodes = Shortcuts(self.uaclient.session)
        self.name = self.description = "gridedge"
        self.max_messagesize = MESSAGE_BYTES_MAX
        self.max_chunkcount = CHUNKS_MAX
        self.secure_channel_timeout = int(CHANNEL_LIFETIME_S * 1000)


async def connect(client: GuardedClient, security: OpcUaSecurity | None) -> None:
    """Socket, channel, session, identity: a step after the other, with no task left behind."""
    if security is not None:
        await _secure(client, security)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    await client.create_session()
    user = security.username or None if security else None
    await client.activate_session(user, security.password if security and user else None)


async def _secure(client: GuardedClient, security: OpcUaSecurity) -> None:
    client.application_uri = security.application_uri
    await client.set_security(
        getattr(security_policies, f"SecurityPolicy{security.policy}"),
        CertProperties(security.certificate_der, "der"),
        CertProperties(security.private_key_pem, "pem"),
        server_certificate=CertProperties(security.server_certificate_der, "der"),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )


@contextmanager
def field_faults(doing: str, security: OpcUaSecurity | None) -> Iterator[None]:
    """Turn whatever asyncua raises for a peer's fault into a :class:`LinkError` that says what we were doing."""
    try:
        yield
    except LinkError:
        raise
    except _FAULTS as fault:
        pinned = f"; pinned server certificate {fingerprint(security.server_certificate_der)}" if security else ""
        text = "no answer in time" if isinstance(fault, TimeoutError) else f"{type(fault).__name__} {fault}".strip()
        raise LinkError(f"{doing}: {text}{pinned}") from fault


def abort(client: GuardedClient) -> None:
    """Cut the connection without a word; safe at any time."""
    protocol = client.uaclient.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()
