"""asyncua's client, with what it leaves open closed: memory a peer may claim, logs it may write, tasks it may start."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto import security_policies
from cryptography import x509
from cryptography.hazmat.backends import default_backend

from drivers.names import addresses
from drivers.opcua.security import OpcUaSecurity, fingerprint
from drivers.opcua.session.protocol import (
    CHUNK_BYTES_MAX,
    CHUNKS_MAX,
    FAULTS,
    MESSAGE_BYTES_MAX,
    Caps,
    GuardedProtocol,
    LinkError,
    Note,
    unrecorded,
)

CHANNEL_LIFETIME_S = 3600.0
ANNOUNCED_BYTES_MAX = 1 << 20
"""What we say that a message may have; node-opcua 2.186 opens no channel to a client that says less than about this.

What we take is less (:data:`~drivers.opcua.session.protocol.MESSAGE_BYTES_MAX`), and no honest answer comes near it.
"""

default_backend()  # asyncua asks for it in every operation; the first time it is loaded, which is no work for the loop

# Faults reach us as exceptions; without this a hostile peer would write our log at its own pace.
for _name in ("asyncua.client", "asyncua.common", "asyncua.crypto", "asyncua.uaprotocol"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class _GuardedUaClient(UaClient):
    note: Note = staticmethod(unrecorded)

    async def connect_socket(self, host: str, port: int) -> None:
        """To the first address of the host that takes a connection."""
        fault = OSError("the host has no address")
        for _, address in await addresses(host, port):
            try:
                await super().connect_socket(address[0], port)
            except OSError as error:
                fault = error
            else:
                return
        raise fault

    def _make_protocol(self) -> UASocketProtocol:
        caps = Caps(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX)
        self.protocol = GuardedProtocol(self._timeout, self.security_policy, caps)
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = lambda: True
        self.protocol.note = self.note
        return self.protocol


class GuardedClient(Client):
    """A client that only runs the steps it is told to."""

    def __init__(self, url: str, timeout_s: float, note: Note = unrecorded) -> None:
        """``note`` records the services of the session."""
        super().__init__(url, timeout=timeout_s)
        self.uaclient = _GuardedUaClient(timeout_s)
        self.uaclient.note = note
        self.nodes = Shortcuts(self.uaclient.session)
        self.name = self.description = "gridedge"
        self.max_messagesize = ANNOUNCED_BYTES_MAX
        self.max_chunkcount = CHUNKS_MAX
        self.secure_channel_timeout = int(CHANNEL_LIFETIME_S * 1000)


async def connect(client: GuardedClient, security: OpcUaSecurity | None) -> None:
    """Socket, channel, session, identity: a step after the other, with no task left behind."""
    if security is not None:
        secure(client, security)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    await client.create_session()
    user = security.username or None if security else None
    await client.activate_session(user, security.password if security and user else None)


def secure(client: GuardedClient, security: OpcUaSecurity) -> None:
    """As asyncua's ``set_security``, which would read and check the private key anew for every connection."""
    client.application_uri = security.application_uri
    policy = getattr(security_policies, f"SecurityPolicy{security.policy}")
    client.security_policy = policy(
        x509.load_der_x509_certificate(security.server_certificate_der),
        x509.load_der_x509_certificate(security.certificate_der),
        security.private_key,
        ua.MessageSecurityMode.SignAndEncrypt,
    )
    client.uaclient.set_security(client.security_policy)


@contextmanager
def field_faults(doing: str, security: OpcUaSecurity | None) -> Iterator[None]:
    """Turn whatever asyncua raises for a peer's fault into a :class:`LinkError` that says what we were doing."""
    try:
        yield
    except LinkError:
        raise
    except FAULTS as fault:
        pinned = f"; pinned server certificate {fingerprint(security.server_certificate_der)}" if security else ""
        raise LinkError(f"{doing}: {_said(fault)}{pinned}") from fault


def _said(fault: Exception) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    if isinstance(fault, OSError) and fault.errno is not None and fault.errno > 0:
        return os.strerror(fault.errno)
    return f"{type(fault).__name__} {fault}".strip()


def protocol_of(client: GuardedClient) -> GuardedProtocol:
    """The open connection of a client. Raises :class:`LinkError` when there is none."""
    protocol = client.uaclient.protocol
    if not isinstance(protocol, GuardedProtocol):
        raise LinkError("the server closed the connection")
    return protocol


def abort(client: GuardedClient) -> None:
    """Cut the connection without a word; safe at any time."""
    protocol = client.uaclient.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()
