"""Simulated devices on OPC UA, served by asyncua.

Nodes come from the profile: namespace, root object, browse paths, data types, units. Values are pushed by
:meth:`OpcUaServer.refresh`; writes go to the device and the node then shows what the device says it holds. For tests
and demonstrations only: no asyncua server belongs on a plant network.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from asyncua import ua
from asyncua.common.node import Node
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace, AttributeService
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from drivers.profile import PointSpec
from simulators.adapters.gate import Gate
from simulators.device import SimulatedDevice

APPLICATION_URI = "urn:gridedge:simulator"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An application certificate (DER) and its private key (PEM, not encrypted: it lives for one simulation)."""

    certificate_der: bytes
    private_key_pem: bytes


def generate_credentials(application_uri: str = APPLICATION_URI) -> Credentials:
    """A self-signed certificate for client and server use, valid for a year from now."""
    key = generate_private_key()
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(application_uri),
        x509.DNSName(socket.gethostname()),
    ]
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = generate_self_signed_app_certificate(key, application_uri, {}, names, uses)
    return Credentials(certificate.public_bytes(Encoding.DER), dump_private_key_as_pem(key))


class OpcUaServer:
    """Any number of devices; those with the same (host, port) share a server and must have different root objects.

    Without ``credentials`` only the policy None is offered. With them Basic256Sha256 SignAndEncrypt is, and None too
    when ``allow_none``.
    """

    def __init__(
        self,
        devices: Sequence[tuple[str, int, SimulatedDevice]],
        credentials: Credentials | None = None,
        allow_none: bool = False,
    ) -> None:
        ports: dict[tuple[str, int], list[SimulatedDevice]] = {}
        for host, port, device in devices:
            ports.setdefault((host, port), []).append(device)
        policies = [] if credentials else [ua.SecurityPolicyType.NoSecurity]
        if credentials:
            policies.append(ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
            policies += [ua.SecurityPolicyType.NoSecurity] if allow_none else []
        self._endpoints = [_Endpoint(*at, served, credentials, policies) for at, served in ports.items()]

    async def start(self) -> None:
        """Build every address space and listen; after an OSError (a port is taken) nothing stays open."""
        try:
            for endpoint in self._endpoints:
                await endpoint.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection and listener; safe to call twice."""
        for endpoint in self._endpoints:
            await endpoint.stop()

    async def refresh(self) -> None:
        """Push what changed since the last call; the host calls it once per world step."""
        for endpoint in self._endpoints:
            await endpoint.refresh()


class _Endpoint:
    """One asyncua server on a loopback port behind a gate that can fall silent."""

    def __init__(
        self,
        host: str,
        port: int,
        devices: Sequence[SimulatedDevice],
        credentials: Credentials | None,
        policies: list[ua.SecurityPolicyType],
    ) -> None:
        self._host, self._port = host, port
        self._devices = devices
        self._credentials = credentials
        self._policies = policies
        self._server: Server | None = None
        self._gate: Gate | None = None
        self._served: list[_ServedDevice] = []

    async def start(self) -> None:
        server = Server()
        await server.init()
        server.disable_clock()
        await server.set_application_uri(APPLICATION_URI)
        server.set_endpoint(f"opc.tcp://{self._host}:{self._port}/")
        server.socket_address = ("127.0.0.1", 0)
        server.set_security_policy(self._policies)
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        if self._credentials is not None:
            await server.load_certificate(self._credentials.certificate_der, "der")
            await server.load_private_key(self._credentials.private_key_pem, format="pem")
        self._served = [await _ServedDevice.build(server, device) for device in self._devices]
        server.iserver.attribute_service = _Attributes(server.iserver.aspace, self._take)
        await self.refresh()
        await server.start()
        self._server = server
        assert server.bserver is not None
        self._gate = Gate(self._host, self._port, server.bserver.port, self._silent)
        try:
            await self._gate.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._gate is not None:
            await self._gate.stop()
        if self._server is not None:
            await self._server.stop()
        self._gate = self._server = None

    async def refresh(self) -> None:
        for served in self._served:
            await served.refresh()

    def _silent(self) -> bool:
        return all(device.silent for device in self._devices)

    async def _take(self, item: ua.WriteValue) -> ua.StatusCode | None:
        for served in self._served:
            status = await served.take(item)
            if status is not None:
                return status
        return None


class _Attributes(AttributeService):
    """asyncua's attribute service, with writes to device nodes decided by the device."""

    def __init__(
        self,
        aspace: AddressSpace,
        take: Callable[[ua.WriteValue], Coroutine[Any, Any, ua.StatusCode | None]],
    ) -> None:
        super().__init__(aspace)
        self._take = take

    async def write(self, params: ua.WriteParameters, user: User = User(role=UserRole.Admin)) -> list[ua.StatusCode]:  # noqa: B008 - asyncua's signature
        """One status per node, in request order."""
        statuses: list[ua.StatusCode] = []
        for item in params.NodesToWrite:
            taken = await self._take(item)
            if taken is not None:
                statuses.append(taken)
            else:
                statuses += await super().write(ua.WriteParameters(NodesToWrite=[item]), user)
        return statuses


class _ServedDevice:
    """The nodes of one device."""

    def __init__(self, server: Server, device: SimulatedDevice, nodes: dict[str, ua.NodeId]) -> None:
        self._server = server
        self._device = device
        self._nodes = nodes
        self._specs = {spec.name: spec for spec in device.profile.points}
        self._points = {node: name for name, node in nodes.items()}
        self._shown: dict[str, bytes] = {}

    @classmethod
    async def build(cls, server: Server, device: SimulatedDevice) -> _ServedDevice:
        """Add the device's objects and variables to the address space."""
        profile = device.profile
        index = await server.register_namespace(profile.namespace_uri)
        folders: dict[tuple[str, ...], Node] = {(): server.nodes.objects}
        nodes = {}
        for spec in profile.points:
            path = (*profile.root, *spec.path)
            parent = await _folder(folders, index, path[:-1])
            nodes[spec.name] = await _variable(parent, index, path, spec)
        return cls(server, device, nodes)

    async def refresh(self) -> None:
        """Write the values that differ from what the nodes show."""
        silent = self._device.silent
        values = {} if silent else self._device.values()
        for name in self._nodes:
            await self._show(name, values.get(name, math.nan), silent)

    async def take(self, item: ua.WriteValue) -> ua.StatusCode | None:
        """Status of a write to one of these nodes; None when the node is not ours."""
        name = self._points.get(item.NodeId)
        if name is None:
            return None
        code = self._refusal(self._specs[name], item)
        if code is None:
            spec = self._specs[name]
            accepted = self._device.write(name, float(item.Value.Value.Value) * spec.scale + spec.offset)
            code = StatusCodes.Good if accepted else StatusCodes.BadOutOfRange
            await self._show(name, self._device.values().get(name, math.nan), silent=False)
        return ua.StatusCode(ua.UInt32(code))

    def _refusal(self, spec: PointSpec, item: ua.WriteValue) -> int | None:
        variant = item.Value.Value
        if item.AttributeId != AttributeIds.Value or "w" not in spec.access:
            return int(StatusCodes.BadNotWritable)
        if self._device.silent:
            return int(StatusCodes.BadNoCommunication)
        if variant is None or variant.VariantType != ua.VariantType[spec.type] or variant.is_array:
            return int(StatusCodes.BadTypeMismatch)
        if not math.isfinite(variant.Value):
            return int(StatusCodes.BadOutOfRange)
        return None

    async def _show(self, name: str, value: float, silent: bool) -> None:
        key = b"silent" if silent else struct.pack("d", value)
        if self._shown.get(name) == key:
            return
        self._shown[name] = key
        data = _data_value(self._specs[name], value, silent)
        await self._server.write_attribute_value(self._nodes[name], data)


async def _folder(folders: dict[tuple[str, ...], Node], index: int, path: tuple[str, ...]) -> Node:
    """The object at ``path`` below Objects, made with its parents when it is not there."""
    if path not in folders:
        parent = await _folder(folders, index, path[:-1])
        folders[path] = await parent.add_object(_node_id(index, path), ua.QualifiedName(path[-1], index))
    return folders[path]


async def _variable(parent: Node, index: int, path: tuple[str, ...], spec: PointSpec) -> ua.NodeId:
    kind = ua.VariantType[spec.type]
    node = await parent.add_variable(
        _node_id(index, path), ua.QualifiedName(path[-1], index), ua.get_default_value(kind), kind
    )
    if spec.unit:
        unit = ua.EUInformation(UnitId=-1, DisplayName=ua.LocalizedText(spec.unit))  # -1: no coded unit given
        await node.add_property(_node_id(index, (*path, "EngineeringUnits")), "0:EngineeringUnits", unit)
    if "w" in spec.access:
        await node.set_writable()
    return node.nodeid


def _node_id(index: int, path: tuple[str, ...]) -> ua.NodeId:
    return ua.NodeId(ua.String(".".join(path)), ua.Int16(index))


def _data_value(spec: PointSpec, value: float, silent: bool) -> ua.DataValue:
    """What a node shows: NaN is "not supported by this device", an unreachable device "no communication"."""
    kind = ua.VariantType[spec.type]
    now = cast(ua.DateTime, datetime.now(UTC))
    if silent or not math.isfinite(value):
        code = StatusCodes.BadNoCommunication if silent else StatusCodes.BadNotSupported
        return ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(code)), SourceTimestamp=now, ServerTimestamp=now)
    raw = (value - spec.offset) / spec.scale
    number = raw if kind in (ua.VariantType.Double, ua.VariantType.Float) else round(raw)
    return ua.DataValue(ua.Variant(number, kind), SourceTimestamp=now, ServerTimestamp=now)
