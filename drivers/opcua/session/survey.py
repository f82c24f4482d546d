"""What an OPC UA server offers without a login: its endpoints, and its namespaces where it lets anybody look."""

from __future__ import annotations

from dataclasses import dataclass

from asyncua import ua

from drivers.opcua.deadline import deadline
from drivers.opcua.security import fingerprint
from drivers.opcua.session.guard import GuardedClient, abort, connect, field_faults, protocol_of
from drivers.opcua.session.nodes import NAMESPACES
from drivers.opcua.session.protocol import LinkError
from drivers.opcua.session.services import READ, read_answer, read_request, read_value_id

ENDPOINTS_MAX, NAMESPACES_MAX = 32, 64


@dataclass(frozen=True, slots=True)
class ServerEndpoint:
    """One way into a server: ``policy`` and ``mode`` by their short names, ``certificate`` as SHA-256 fingerprint."""

    url: str
    policy: str
    mode: str
    certificate: str


async def server_endpoints(url: str, within_s: float) -> tuple[ServerEndpoint, ...]:
    """The endpoints that the server names. Raises :class:`LinkError`."""
    client = GuardedClient(url, within_s)
    try:
        with field_faults(f"ask {url} for its endpoints", None):
            async with deadline(within_s):
                await client.connect_socket()
                await client.send_hello()
                await client.open_secure_channel()
                found = await client.get_endpoints()
    finally:
        abort(client)
    return tuple(_endpoint(item) for item in found[:ENDPOINTS_MAX])


async def namespaces(url: str, within_s: float) -> tuple[str, ...]:
    """URIs of the server's namespaces, read in an anonymous session without security. Raises :class:`LinkError`."""
    client = GuardedClient(url, within_s)
    try:
        with field_faults(f"read the namespaces of {url}", None):
            async with deadline(within_s):
                await connect(client, None)
                request = read_request([read_value_id(NAMESPACES)])
                (answer,) = await read_answer(await protocol_of(client).ask(READ, request), 1)
    finally:
        abort(client)
    if not isinstance(answer.value, tuple):
        raise LinkError("the server does not tell its namespaces")
    return tuple(str(uri) for uri in answer.value[:NAMESPACES_MAX])


def _endpoint(item: ua.EndpointDescription) -> ServerEndpoint:
    policy = str(item.SecurityPolicyUri or "").rsplit("#", 1)[-1] or "?"
    certificate = fingerprint(item.ServerCertificate) if item.ServerCertificate else ""
    return ServerEndpoint(
        str(item.EndpointUrl), policy, ua.MessageSecurityMode(item.SecurityMode).name.rstrip("_"), certificate
    )
