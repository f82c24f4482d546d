"""One OPC UA session, from the socket to resolved points: the only place of the driver that knows asyncua.

A session is used until its first fault and never again; whoever owns it opens a new one. asyncua's own reconnection,
health probes and subscriptions are not used: they re-use NodeIds (a renumbered server then delivers another quantity
with Good quality), and some of their failures are only logged.
"""

from __future__ import annotations

import asyncio
import logging
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError
from cryptography.exceptions import InvalidSignature

from drivers.opcua.security import OpcUaSecurity, fingerprint
from drivers.opcua.values import NodeValue
from drivers.profile import PointSpec, Profile

CHUNK_BYTES_MAX = 65_535
"""Largest chunk that we negotiate; a peer that announces a larger one is cut off before it is buffered."""
MESSAGE_BYTES_MAX = 1 << 20
CHUNKS_MAX = 64
CHANNEL_LIFETIME_S = 3600.0
CLOSE_S = 0.25

_NODE_IS_GONE = (StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid)
_WHOLE_PATH = 0xFFFF_FFFF  # RemainingPathIndex of a browse path that was followed to its end
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


RESOLVE_AGAIN_S = 10.0
"""How soon points that were not found are looked for again in the same session."""


class LinkError(Exception):
    """The connection is of no use any more; the text says why, for an engineer."""


class UnresolvedError(Exception):
    """A point that is to be written was not found on the server, or is not what the profile says."""


class _Caps(TransportLimits):
    """Our own limits on what we receive, whatever the server acknowledges (asyncua takes the server's word)."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
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
        caps = _Caps(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX)
        self.protocol = _GuardedProtocol(self._timeout, self.security_policy, caps)
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = lambda: True
        return self.protocol


class _GuardedClient(Client):
    """A client that only runs the steps it is told to."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, timeout=timeout_s)
        self.uaclient = _GuardedUaClient(timeout_s)
        self.nodes = Shortcuts(self.uaclient.session)
        self.name = self.description = "gridedge"
        self.max_messagesize = MESSAGE_BYTES_MAX
        self.max_chunkcount = CHUNKS_MAX
        self.secure_channel_timeout = int(CHANNEL_LIFETIME_S * 1000)


class OpcUaSession:
    """An activated session and the nodes that the profile's points are in it.

    ``problems`` says for every point that cannot be used why. All times are machine seconds. Every method but
    :meth:`abort` and :meth:`close` raises :class:`LinkError` for a fault; the session is then dead.
    """

    def __init__(self, client: _GuardedClient, profile: Profile) -> None:
        self._client = client
        self._profile = profile
        self._nodes: dict[str, ua.NodeId] = {}
        self._read = ua.ReadParameters()
        self._renew_at_s = self._loop_s() + 0.5 * client.secure_channel_timeout / 1000.0
        self._resolve_at_s = math.inf
        self.problems: Mapping[str, str] = {}

    @classmethod
    async def open(
        cls, endpoint: str, profile: Profile, within_s: float, session_s: float, security: OpcUaSecurity | None
    ) -> OpcUaSession:
        """Connect with a new client and find every point. ``session_s`` is how long the server keeps it unused."""
        client = _GuardedClient(endpoint, within_s)
        client.session_timeout = int(session_s * 1000)
        try:
            with _field_faults(f"connect to {endpoint}", security):
                async with asyncio.timeout(within_s):
                    await _connect(client, security)
                    session = cls(client, profile)
                    await session.resolve()
        except BaseException:
            _abort(client)
            raise
        return session

    @property
    def alive(self) -> bool:
        """False once the peer or a fault has ended the connection."""
        protocol = self._client.uaclient.protocol
        return protocol is not None and protocol.transport is not None and not protocol.transport.is_closing()

    async def resolve(self) -> None:
        """Find the node of every point by namespace URI and browse path and check that it is what the profile says."""
        with _field_faults("browse", None):
            self._nodes, self.problems = await _Resolver(self._client.uaclient, self._profile).run()
        self._read = ua.ReadParameters(
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            NodesToRead=[_value_of(node) for node in self._nodes.values()],
        )
        self._resolve_at_s = self._loop_s() + RESOLVE_AGAIN_S if self.problems else math.inf

    async def read(self) -> dict[str, NodeValue]:
        """One Read of every point that was found; whatever else is due (renewal, looking again) comes first."""
        if self._loop_s() > self._resolve_at_s:
            await self.resolve()
        if not self._nodes:
            return {}
        with _field_faults("read", None):
            if self._loop_s() > self._renew_at_s:
                await self._renew()
            answers = await self._client.uaclient.read(self._read)
        if len(answers) != len(self._nodes):
            raise LinkError(f"read: server sent {len(answers)} values; expected {len(self._nodes)}")
        if any(answer.StatusCode is not None and answer.StatusCode.value in _NODE_IS_GONE for answer in answers):
            self._resolve_at_s = min(self._resolve_at_s, self._loop_s() + RESOLVE_AGAIN_S)
        return {name: _node_value(answer) for name, answer in zip(self._nodes, answers, strict=True)}

    async def write(self, writes: Sequence[tuple[PointSpec, float]]) -> list[NodeValue]:
        """One Write; a status per point, in order, as a :class:`NodeValue` without a value."""
        unresolved = [spec.name for spec, _ in writes if spec.name not in self._nodes]
        if unresolved:
            raise UnresolvedError("; ".join(f"{name}: {self.problems.get(name, 'unknown')}" for name in unresolved))
        params = ua.WriteParameters(NodesToWrite=[_write_of(self._nodes[spec.name], spec, raw) for spec, raw in writes])
        with _field_faults("write", None):
            statuses = await self._client.uaclient.write(params)
        if len(statuses) != len(writes):
            raise LinkError(f"write: server sent {len(statuses)} statuses; expected {len(writes)}")
        return [NodeValue(int(status.value), status.name, "", None) for status in statuses]

    def abort(self) -> None:
        """Cut the connection now; requests under way fail at once."""
        _abort(self._client)

    async def close(self) -> None:
        """Give the session back to the server if it answers soon, then cut."""
        try:
            with _field_faults("close", None):
                async with asyncio.timeout(CLOSE_S):
                    await self._client.close_session()
                    await self._client.close_secure_channel()
        except LinkError:
            return  # the server drops an abandoned session by itself
        finally:
            _abort(self._client)

    async def _renew(self) -> None:
        await self._client.open_secure_channel(renew=True)
        self._client.uaclient.revolve_security_token()
        self._renew_at_s = self._loop_s() + 0.5 * self._client.secure_channel_timeout / 1000.0

    @staticmethod
    def _loop_s() -> float:
        return asyncio.get_running_loop().time()


class _Resolver:
    """Finds and checks nodes: browse name, data type, engineering unit."""

    def __init__(self, uaclient: UaClient, profile: Profile) -> None:
        self._uaclient = uaclient
        self._profile = profile
        self._problems: dict[str, str] = {}

    async def run(self) -> tuple[dict[str, ua.NodeId], dict[str, str]]:
        """(nodes by point, problems by point); together they name every point."""
        index = await self._namespace_index()
        if index is None:
            problem = f"namespace {self._profile.namespace_uri} is not on the server"
            return {}, {spec.name: problem for spec in self._profile.points}
        found, units = await self._translate(index)
        await self._check(index, found, units)
        return {name: node for name, node in found.items() if name not in self._problems}, self._problems

    async def _namespace_index(self) -> int | None:
        node = ua.NodeId(ua.Int32(ObjectIds.Server_NamespaceArray))
        (answer,) = await self._uaclient.read(ua.ReadParameters(NodesToRead=[_value_of(node)]))
        uris = answer.Value.Value if answer.Value is not None else None
        if not isinstance(uris, list) or self._profile.namespace_uri not in uris:
            return None
        return uris.index(self._profile.namespace_uri)

    async def _translate(self, index: int) -> tuple[dict[str, ua.NodeId], dict[str, ua.NodeId]]:
        """Nodes of the points, and of their EngineeringUnits where the server has them."""
        specs = self._profile.points
        paths = [
            _browse_path(index, (*self._profile.root, *spec.path), units) for units in (False, True) for spec in specs
        ]
        results = await self._uaclient.translate_browsepaths_to_nodeids(paths)
        if len(results) != len(paths):
            raise LinkError(f"browse: server sent {len(results)} results; expected {len(paths)}")
        found: dict[str, ua.NodeId] = {}
        for spec, result in zip(specs, results, strict=False):
            node = _single_target(result)
            if node is None:
                self._problems[spec.name] = f"{self._place(spec)} is not on the server ({result.StatusCode.name})"
            else:
                found[spec.name] = node
        targets = zip(specs, (_single_target(result) for result in results[len(specs) :]), strict=True)
        return found, {spec.name: node for spec, node in targets if node is not None and spec.name in found}

    async def _check(self, index: int, found: dict[str, ua.NodeId], units: dict[str, ua.NodeId]) -> None:
        attributes = (AttributeIds.BrowseName, AttributeIds.DataType)
        wanted = [_attribute_of(node, attribute) for node in found.values() for attribute in attributes]
        wanted += [_value_of(units[name]) for name in units]
        if not wanted:
            return
        answers = await self._uaclient.read(ua.ReadParameters(NodesToRead=wanted))
        if len(answers) != len(wanted):
            raise LinkError(f"browse: server sent {len(answers)} attributes; expected {len(wanted)}")
        values = [answer.Value.Value if answer.Value is not None else None for answer in answers]
        for number, name in enumerate(found):
            self._check_node(self._profile.point(name), index, *values[2 * number : 2 * number + 2])
        for name, unit in zip(units, values[2 * len(found) :], strict=True):
            self._check_unit(self._profile.point(name), unit)

    def _check_node(self, spec: PointSpec, index: int, browse_name: Any, data_type: Any) -> None:
        if browse_name != ua.QualifiedName(spec.path[-1], ua.UInt16(index)):
            self._problems[spec.name] = f"{self._place(spec)} is called {browse_name} by the server"
        elif data_type != _built_in(spec.type):
            self._problems[spec.name] = f"{self._place(spec)} has DataType {data_type}; expected {spec.type}"

    def _check_unit(self, spec: PointSpec, unit: Any) -> None:
        shown = unit.DisplayName.Text if isinstance(unit, ua.EUInformation) and unit.DisplayName else None
        if shown is not None and spec.unit and shown != spec.unit:
            self._problems[spec.name] = f"{self._place(spec)} is in {shown}; expected {spec.unit}"

    def _place(self, spec: PointSpec) -> str:
        return "/".join((*self._profile.root, *spec.path))


async def _connect(client: _GuardedClient, security: OpcUaSecurity | None) -> None:
    if security is not None:
        await _secure(client, security)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    await client.create_session()
    user = security.username or None if security else None
    await client.activate_session(user, security.password if security and user else None)


async def _secure(client: _GuardedClient, security: OpcUaSecurity) -> None:
    client.application_uri = security.application_uri
    await client.set_security(
        getattr(security_policies, f"SecurityPolicy{security.policy}"),
        CertProperties(security.certificate_der, "der"),
        CertProperties(security.private_key_pem, "pem"),
        server_certificate=CertProperties(security.server_certificate_der, "der"),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )


@contextmanager
def _field_faults(doing: str, security: OpcUaSecurity | None) -> Iterator[None]:
    try:
        yield
    except LinkError:
        raise
    except _FAULTS as fault:
        pinned = f"; pinned server certificate {fingerprint(security.server_certificate_der)}" if security else ""
        text = "no answer in time" if isinstance(fault, TimeoutError) else f"{type(fault).__name__} {fault}".strip()
        raise LinkError(f"{doing}: {text}{pinned}") from fault


def _abort(client: _GuardedClient) -> None:
    protocol = client.uaclient.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()


def _browse_path(index: int, names: Sequence[str], units: bool) -> ua.BrowsePath:
    """From Objects along hierarchical references; with ``units`` on to the property EngineeringUnits."""
    steps = [ua.QualifiedName(name, ua.UInt16(index)) for name in names]
    steps += [ua.QualifiedName("EngineeringUnits", ua.UInt16(0))] if units else []
    hierarchical = ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences))
    forward, subtypes = cast(ua.Boolean, False), cast(ua.Boolean, True)
    elements = [ua.RelativePathElement(hierarchical, forward, subtypes, step) for step in steps]
    return ua.BrowsePath(ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)), ua.RelativePath(elements))


def _single_target(result: ua.BrowsePathResult) -> ua.NodeId | None:
    """The one local node that a path leads to; None when there is none, more than one, or only part of the way."""
    if not result.StatusCode.is_good() or len(result.Targets) != 1:
        return None
    target = result.Targets[0]
    if target.RemainingPathIndex != _WHOLE_PATH or getattr(target.TargetId, "ServerIndex", 0):
        return None
    return ua.NodeId(target.TargetId.Identifier, target.TargetId.NamespaceIndex)


def _built_in(type_name: str) -> ua.NodeId:
    return ua.NodeId(ua.Int32(ua.VariantType[type_name].value))


def _attribute_of(node: ua.NodeId, attribute: AttributeIds) -> ua.ReadValueId:
    return ua.ReadValueId(NodeId=node, AttributeId=attribute)


def _value_of(node: ua.NodeId) -> ua.ReadValueId:
    return _attribute_of(node, AttributeIds.Value)


def _write_of(node: ua.NodeId, spec: PointSpec, raw: float) -> ua.WriteValue:
    """Value only: some servers refuse a write that brings a status or a timestamp."""
    data = ua.DataValue(ua.Variant(raw, ua.VariantType[spec.type]), StatusCode=None)
    return ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=data)


def _node_value(answer: ua.DataValue) -> NodeValue:
    status = answer.StatusCode if answer.StatusCode is not None else ua.StatusCode()
    variant = answer.Value
    kind = "" if variant is None or variant.VariantType is ua.VariantType.Null else variant.VariantType.name
    if variant is not None and variant.is_array:
        kind += "[]"
    return NodeValue(
        int(status.value),
        status.name,
        kind,
        None if variant is None else variant.Value,
        cast("datetime | None", answer.SourceTimestamp),
        cast("datetime | None", answer.ServerTimestamp),
    )
