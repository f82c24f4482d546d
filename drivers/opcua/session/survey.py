"""What an OPC UA server offers without a login: its endpoints, and its namespaces where it lets anybody look."""

from __future__ import annotations

from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.deadline import deadline
from drivers.opcua.security import fingerprint
from drivers.opcua.session.guard import GuardedClient, LinkError, abort, connect, field_faults
from drivers.opcua.session.nodes import value_of

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
                node = ua.NodeId(ua.Int32(ObjectIds.Server_NamespaceArray))
                (answer,) = await client.uaclient.read(ua.ReadParameters(NodesToRead=[value_of(node)]))
    finally:
        abort(client)
    uris = answer.Value.Value if answer.Value is not None else None
    if not isinstance(uris, list):
        raise LinkError("the server does not tell its namespaces")
    return tuple(str(uri) for uri in uris[:NAMESPACES_MAX])


def _endpoint(item: ua.EndpointDescription) -> ServerEndpoint:
    policy = str(item.SecurityPolicyUri or "").rsplit("#", 1)[-1] or "?"
    certificate = fingerprint(item.ServerCertificate) if item.ServerCertificate else ""
    return ServerEndpoint(
        str(item.EndpointUrl), policy, ua.MessageSecurityMode(item.SecurityMode).name.rstrip("_"), certificate
    )
