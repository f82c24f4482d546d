"""An OPC UA server small enough to lie at every byte: one meter, no security, encoded by asyncua and framed here.

Every answer passes through ``tamper`` (service, whole chunk) before it is sent; what that returns is sent instead, and
None ends the connection. Subscriptions send a message every ``publishing_s``: changes, except of
what is ``unreported``, or a keep-alive.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary
from asyncua.ua.uaprotocol_auto import SecurityTokenRequestType

from controller.clock import SystemClock
from controller.domain.site import Device
from drivers.opcua.device import OpcUaDevice
from drivers.profile import CommandSpec, FailBehaviour, PointSpec, Profile

URI = "urn:maker:meter"
TRUE = {"p_w": 50.0, "u_v": 230.0, "i_a": 7.0, "limit_w": 900.0}
METER = Profile(
    "meter",
    "meter",
    "t",
    "opcua",
    "test",
    FailBehaviour.HOLDS_LAST,
    tuple(
        PointSpec(name, "Double", unit, "test", path=(name,), access="rw" if name == "limit_w" else "r")
        for name, unit in (("p_w", "W"), ("u_v", "V"), ("i_a", "A"), ("limit_w", "W"))
    ),
    commands=(CommandSpec("generation_w_max", "limit_w"),),
    namespace_uri=URI,
    root=("Meter",),
)
FIRST_NODE = 1000


GONE = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))


class Last(bytes):
    """Sent, and then the connection is cut."""


class Drip(bytes):
    """Sent byte by byte, 5 ms apart."""


Tamper = Callable[[str, bytes], "bytes | Awaitable[bytes | None] | None"]


def honest(_service: str, chunk: bytes) -> bytes:
    """Nothing is changed."""
    return chunk


class HostileServer:
    """Listens on ``port``; ``values`` are what it shows, ``numbers`` which node is which point."""

    def __init__(self) -> None:
        self.port = 0
        self.tamper: Tamper = honest
        self.connections = 0
        self.writes: list[tuple[str, float]] = []
        self.obeys = True
        self.publishes = 0
        self.publishing_s = 0.02
        self.keep_alive_count = 1
        self.next_sequence = 1
        self.reset()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        """Honest again, showing the truth."""
        self.tamper = honest
        self.obeys = True
        self.unreported: set[str] = set()
        self.types = dict.fromkeys(TRUE, 11)  # Double
        self.numbers = {name: FIRST_NODE + at for at, name in enumerate(TRUE)}
        self.values = {name: shown(value) for name, value in TRUE.items()}
        self.most = 1000
        self.token = 6
        self.token_ms = 3_600_000
        self.token_made_utc: datetime | None = None
        self.namespaces = ["http://opcfoundation.org/UA/", "urn:maker:a", URI]

    @property
    def open(self) -> int:
        """Connections that neither side has ended."""
        return sum(not writer.transport.is_closing() for writer in self._writers)

    async def start(self) -> None:
        """Listen on a free port, or on the one that it had."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, family=socket.AF_INET)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.cut_everyone()
        await asyncio.sleep(0)

    def cut_everyone(self) -> None:
        """RST to every client: what they see of a restart."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await _Connection(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


class _Connection:
    def __init__(self, server: HostileServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._sequence = 0
        self._watched: dict[str, int] = {}
        self._told: dict[str, ua.DataValue] = {}

    async def run(self) -> None:
        while True:
            head = await self._reader.readexactly(8)
            (size,) = struct.unpack_from("<I", head, 4)
            body = await self._reader.readexactly(size - 8)
            if head[:3] == b"HEL":
                limits = struct.pack("<IIIII", 0, 65_535, 65_535, 0, 0)
                await self._send("Hello", b"ACKF" + struct.pack("<I", 8 + len(limits)) + limits)
            elif head[:3] == b"OPN":
                await self._open(ua.utils.Buffer(body))
            elif head[:3] == b"CLO":
                return
            else:
                await self._serve(ua.utils.Buffer(body))

    async def _send(self, service: str, chunk: bytes) -> None:
        changed = self._server.tamper(service, chunk)
        if isinstance(changed, Awaitable):
            changed = await changed
        if changed is None:
            raise ConnectionError
        for part in [changed[at : at + 1] for at in range(len(changed))] if isinstance(changed, Drip) else [changed]:
            self._writer.write(part)
            await asyncio.sleep(0.005 if isinstance(changed, Drip) else 0.0)
        await self._writer.drain()
        if isinstance(changed, Last):
            raise ConnectionError

    async def _open(self, body: Any) -> None:
        body.skip(4)
        security = struct_from_binary(ua.AsymmetricAlgorithmHeader, body)
        sequence = struct_from_binary(ua.SequenceHeader, body)
        request = struct_from_binary(ua.OpenSecureChannelRequest, body)
        assert request.Parameters.RequestType in SecurityTokenRequestType
        answer = ua.OpenSecureChannelResponse()
        made_utc = self._server.token_made_utc or datetime.now(UTC)
        answer.Parameters.SecurityToken = ua.ChannelSecurityToken(
            5, self._server.token, made_utc, self._server.token_ms
        )
        answer.Parameters.ServerNonce = b""
        await self._answer("OpenSecureChannel", b"OPNF", struct_to_binary(security), request, sequence, answer)

    async def _serve(self, body: Any) -> None:
        body.skip(8)
        sequence = struct_from_binary(ua.SequenceHeader, body)
        identifier = nodeid_from_binary(body.copy()).Identifier
        name = ua.ObjectIdNames[identifier].removesuffix("Request_Encoding_DefaultBinary")
        request = struct_from_binary(getattr(ua, f"{name}Request"), body)
        answer = getattr(ua, f"{name}Response")()
        wanted = getattr(getattr(request, "Parameters", None), {"Read": "NodesToRead"}.get(name, "BrowsePaths"), ())
        if len(wanted) > self._server.most:
            answer.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTooManyOperations)
        else:
            await getattr(self, f"_{name.lower()}")(request, answer)
        token = struct.pack("<I", self._server.token)
        await self._answer(name, b"MSGF", token, request, sequence, answer)

    async def _answer(self, name: str, kind: bytes, security: bytes, request: Any, asked: Any, answer: Any) -> None:
        answer.ResponseHeader.RequestHandle = request.RequestHeader.RequestHandle
        self._sequence += 1
        payload = security + struct.pack("<II", self._sequence, asked.RequestId)
        payload += struct_to_binary(answer)
        await self._send(name, kind + struct.pack("<II", 12 + len(payload), 5) + payload)

    async def _createsession(self, request: Any, answer: Any) -> None:
        result = answer.Parameters
        result.SessionId, result.AuthenticationToken = ua.NodeId(1, 1), ua.NodeId(2, 1)
        result.RevisedSessionTimeout = request.Parameters.RequestedSessionTimeout
        token = ua.UserTokenPolicy("anonymous", ua.UserTokenType.Anonymous)
        result.ServerEndpoints = [
            ua.EndpointDescription(
                EndpointUrl=request.Parameters.EndpointUrl,
                SecurityMode=ua.MessageSecurityMode.None_,
                SecurityPolicyUri="http://opcfoundation.org/UA/SecurityPolicy#None",
                UserIdentityTokens=[token],
            )
        ]

    async def _activatesession(self, _request: Any, _answer: Any) -> None:
        return

    async def _closesession(self, _request: Any, _answer: Any) -> None:
        return

    async def _translatebrowsepathstonodeids(self, request: Any, answer: Any) -> None:
        answer.Results = [
            self._target([e.TargetName.Name for e in path.RelativePath.Elements])
            for path in request.Parameters.BrowsePaths
        ]

    def _target(self, names: list[str]) -> ua.BrowsePathResult:
        number = self._server.numbers.get(names[-1])
        if number is None or names[0] != "Meter":
            return ua.BrowsePathResult(ua.StatusCode(ua.StatusCodes.BadNoMatch))
        target = ua.BrowsePathTarget(ua.ExpandedNodeId(number, 2), 0xFFFF_FFFF)
        return ua.BrowsePathResult(ua.StatusCode(), [target])

    async def _read(self, request: Any, answer: Any) -> None:
        answer.Results = [self._attribute(item) for item in request.Parameters.NodesToRead]

    def _attribute(self, item: Any) -> ua.DataValue:
        if item.NodeId.NamespaceIndex == 0:
            if item.NodeId.Identifier == ua.ObjectIds.Server_NamespaceArray:
                return ua.DataValue(ua.Variant(self._server.namespaces, ua.VariantType.String))
            return GONE
        name = self._point(item.NodeId)
        if name is None:
            return GONE
        if item.AttributeId == ua.AttributeIds.BrowseName:
            return ua.DataValue(ua.Variant(ua.QualifiedName(name, 2), ua.VariantType.QualifiedName))
        if item.AttributeId == ua.AttributeIds.DataType:
            return ua.DataValue(ua.Variant(ua.NodeId(self._server.types[name]), ua.VariantType.NodeId))
        return self._server.values[name]

    def _point(self, node: ua.NodeId) -> str | None:
        return next((name for name, number in self._server.numbers.items() if number == node.Identifier), None)

    async def _write(self, request: Any, answer: Any) -> None:
        for item in request.Parameters.NodesToWrite:
            name, value = self._point(item.NodeId), item.Value.Value.Value
            assert name is not None
            self._server.writes.append((name, value))
            if self._server.obeys:
                self._server.values[name] = shown(value)
            answer.Results.append(ua.StatusCode())

    async def _createsubscription(self, _request: Any, answer: Any) -> None:
        answer.Parameters = ua.CreateSubscriptionResult(
            9, self._server.publishing_s * 1000.0, 10_000, self._server.keep_alive_count
        )
        self._server.next_sequence = 1

    async def _createmonitoreditems(self, request: Any, answer: Any) -> None:
        for item in request.Parameters.ItemsToCreate:
            name = self._point(item.ItemToMonitor.NodeId)
            assert name is not None
            self._watched[name] = item.RequestedParameters.ClientHandle
            answer.Results.append(ua.MonitoredItemCreateResult(ua.StatusCode(), 1, 20.0, 1))

    async def _publish(self, _request: Any, answer: Any) -> None:
        self._server.publishes += 1
        await asyncio.sleep(self._server.publishing_s)
        values = self._server.values
        reported = [name for name in self._watched if name not in self._server.unreported]
        changed = {name: values[name] for name in reported if values[name] is not self._told.get(name)}
        self._told |= changed
        message = ua.NotificationMessage(self._server.next_sequence, datetime.now(UTC), [])
        if changed:
            items = [ua.MonitoredItemNotification(self._watched[name], value) for name, value in changed.items()]
            message.NotificationData = [ua.DataChangeNotification(items)]
            self._server.next_sequence += 1
        answer.Parameters = ua.PublishResult(9, [], False, message)


def shown(
    value: float, status: int = 0, kind: ua.VariantType = ua.VariantType.Double, ahead_s: float = 0.0
) -> ua.DataValue:
    """What a server shows of a value now, by a source clock that is ``ahead_s``."""
    now = datetime.now(UTC) + timedelta(seconds=ahead_s)
    return ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), now, now)


def opcua_device(port: int, delivery: str, timeout_s: float = 0.25) -> OpcUaDevice:
    """Our driver, pointed at the server."""
    endpoint = f"opc.tcp://127.0.0.1:{port}/"
    device = Device("DUT", "opcua", endpoint, 1, "meter", {}, None, 0.1, 3.0, timeout_s, {}, delivery)
    return OpcUaDevice(device, METER, SystemClock())
