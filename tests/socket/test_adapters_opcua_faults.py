"""Our OPC UA driver against servers that renumber, freeze, die, lie and flood."""

from __future__ import annotations

import asyncio
import math
import signal
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import adapters_kit
import pytest
import pytest_asyncio
from adapters_kit import RTU, RTU_VALUES, TableDevice, opcua_device, poll_until_usable
from asyncua import Node, Server, ua
from free_ports import free_port

from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from drivers.opcua.session import points as points_module
from drivers.opcua.session import protocol
from drivers.opcua.session.protocol import CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX
from drivers.profile import FailBehaviour, PointSpec, Profile
from simulators.adapters.gate import Gate
from simulators.adapters.opcua_server import OpcUaServer

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]

URI = "urn:maker:meter"
METER = Profile(
    "meter",
    "meter",
    "t",
    "opcua",
    "test",
    FailBehaviour.HOLDS_LAST,
    tuple(
        PointSpec(name, "Double", unit, "test", path=(name,))
        for name, unit in (("p_w", "W"), ("u_v", "V"), ("i_a", "A"), ("f_hz", "Hz"), ("q_var", "var"))
    ),
    namespace_uri=URI,
    root=("Meter",),
)
TRUE = {"p_w": 50.0, "u_v": 230.0, "i_a": 7.0, "f_hz": 50.1, "q_var": -3.0}


class ForeignServer:
    """A server as a maker would write it: numeric NodeIds, namespaces in an order of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.server = Server()
        self.nodes: dict[str, Node] = {}
        self._meter: Node | None = None

    async def start(self) -> None:
        await self.server.init()
        self.server.disable_clock()
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        self.server.set_identity_tokens([ua.AnonymousIdentityToken])
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        for uri in ("urn:maker:a", URI, "urn:maker:b"):
            await self.server.register_namespace(uri)
        await self.number(2, list(TRUE))
        await self.server.start()

    async def number(self, index: int, names: list[str]) -> None:
        """As after a firmware update: the namespace table moved to ``index``, NodeIds given anew in this order."""
        uris = [uri for uri in await self.server.get_namespace_array() if uri != URI]
        uris.insert(index, URI)
        await self.server.nodes.namespace_array.write_value(uris)
        if self._meter is not None:
            await self.server.delete_nodes([self._meter], recursive=True)
        self._meter = await self.server.nodes.objects.add_object(ua.NodeId(1000, index), f"{index}:Meter")
        self.nodes = {}
        for number, name in enumerate(names):
            await self.add(name, index, 1001 + number)

    async def add(self, name: str, index: int, number: int, kind: ua.VariantType = ua.VariantType.Double) -> Node:
        assert self._meter is not None
        node = await self._meter.add_variable(ua.NodeId(number, index), f"{index}:{name}", TRUE[name], kind)
        self.nodes[name] = node
        return node

    def cut_everyone(self) -> None:
        """What every client sees of a restart."""
        for client in list(self.server.bserver.clients):
            client.transport.abort()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foreign_server() -> AsyncIterator[ForeignServer]:
    built = ForeignServer()
    await built.start()
    yield built
    await built.server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def foreign(foreign_server: ForeignServer) -> ForeignServer:
    await foreign_server.number(2, list(TRUE))
    return foreign_server


async def test_renumbered_nodes_never_deliver_another_quantity(foreign: ForeignServer) -> None:
    device = opcua_device(foreign.port, METER)
    assert {name: point.value for name, point in (await device.poll()).items()} == TRUE
    await foreign.number(3, ["u_v", "q_var", "p_w", "i_a", "f_hz"])  # p_w's old NodeId is now the voltage
    foreign.cut_everyone()
    points = await poll_until_usable(device, "p_w", 3.0)
    assert {name: point.value for name, point in points.items()} == TRUE
    await device.aclose()


async def test_a_quantity_that_is_gone_ambiguous_or_changed_is_bad(foreign: ForeignServer) -> None:
    await foreign.number(2, ["p_w"])
    for number in (2001, 2002):
        await foreign.add("u_v", 2, number)
    await foreign.add("i_a", 2, 2003, ua.VariantType.Float)
    frequency = await foreign.add("f_hz", 2, 2004)
    unit = ua.EUInformation(UnitId=-1, DisplayName=ua.LocalizedText("mHz"))
    await frequency.add_property(ua.NodeId(2005, 2), "0:EngineeringUnits", unit)
    device = opcua_device(foreign.port, METER)
    points = await device.poll()
    assert points["p_w"].value == 50.0
    for name, fault in (
        ("u_v", "Meter/u_v is not on the server"),
        ("i_a", "expected Double"),
        ("f_hz", "is in mHz; expected Hz"),
        ("q_var", "Meter/q_var is not on the server (BadNoMatch)"),
    ):
        assert points[name].quality is Quality.BAD
        assert fault in points[name].reason
    await device.aclose()


async def test_a_node_that_appears_later_is_found_in_the_same_session(
    foreign: ForeignServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points_module, "RESOLVE_AGAIN_S", 0.0)
    await foreign.number(2, ["p_w"])
    device = opcua_device(foreign.port, METER)
    assert not (await device.poll())["u_v"].usable
    await foreign.add("u_v", 2, 2001)
    assert (await device.poll())["u_v"].value == 230.0
    await device.aclose()


async def test_quality_travels_with_every_value(foreign: ForeignServer) -> None:
    def shown(code: int, value: float | None) -> ua.DataValue:
        variant = ua.Variant() if value is None else ua.Variant(value, ua.VariantType.Double)
        return ua.DataValue(variant, StatusCode=ua.StatusCode(code))

    table = {
        "p_w": (shown(ua.StatusCodes.UncertainLastUsableValue, 50.0), Quality.UNCERTAIN),
        "u_v": (shown(ua.StatusCodes.BadWaitingForInitialData, None), Quality.BAD),
        "i_a": (shown(ua.StatusCodes.Good, math.nan), Quality.BAD),
        "f_hz": (shown(ua.StatusCodes.GoodLocalOverride, 50.1), Quality.UNCERTAIN),
        "q_var": (shown(ua.StatusCodes.BadSensorFailure, None), Quality.BAD),
    }
    for name, (value, _) in table.items():
        await foreign.server.write_attribute_value(foreign.nodes[name].nodeid, value)
    device = opcua_device(foreign.port, METER)
    points = await device.poll()
    assert {name: point.quality for name, point in points.items()} == {name: row[1] for name, row in table.items()}
    assert "BadSensorFailure" in points["q_var"].reason
    assert not points["p_w"].usable
    await device.aclose()


class ServerProcess:
    """Our simulator's server in a process of its own, to be frozen and killed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(adapters_kit.__file__)), str(self._port), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert await asyncio.wait_for(self._process.stdout.readline(), 15.0) == b"listening\n"

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


async def test_a_server_that_freezes_dies_and_returns_costs_bounded_time() -> None:
    port = free_port()
    server = ServerProcess(port)
    await server.start()
    device = opcua_device(port, timeout_s=0.4)
    loop = asyncio.get_running_loop()
    try:
        await poll_until_usable(device, "p_w", 3.0)
        server.signal(signal.SIGSTOP)
        for _ in range(4):
            started_s = loop.time()
            points = await device.poll()
            outcome = await device.write({"q_var": 0.0}, 30.0, {"q_var": 0.0})
            assert loop.time() - started_s < 2 * 0.4 + 0.4
            assert points["p_w"].quality is Quality.MISSING
            assert outcome.state is OutcomeState.FAILED
        server.signal(signal.SIGCONT)
        await poll_until_usable(device, "p_w", 3.0)
        await server.kill()
        assert not (await device.poll())["p_w"].usable
        await server.start()
        await poll_until_usable(device, "p_w", 3.0)
    finally:
        await device.aclose()
        await server.kill()


async def test_a_silent_device_is_missing_and_comes_back() -> None:
    port = free_port()
    rtu = TableDevice(RTU, RTU_VALUES)
    server = OpcUaServer([("127.0.0.1", port, rtu)])
    await server.start()
    device = opcua_device(port, timeout_s=0.3)
    await poll_until_usable(device, "p_w", 3.0)
    rtu.silent = True
    points = await device.poll()
    assert points["p_w"].quality is Quality.MISSING
    assert "no answer within 0.30 s" in points["p_w"].reason
    rtu.silent = False
    await poll_until_usable(device, "p_w", 3.0)
    await device.aclose()
    await server.stop()


class Liar:
    """A peer that answers Hello with ``answer`` and then sends on and on; counts what was taken from it."""

    def __init__(self, answer: bytes) -> None:
        self.port = free_port()
        self.sent_bytes = 0
        self.connections = 0
        self.open = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await reader.read(1024)
            writer.write(self._answer)
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                self.sent_bytes += 65536
        except ConnectionError:
            return
        finally:
            self.open -= 1
            writer.transport.abort()


@asynccontextmanager
async def lying(answer: bytes) -> AsyncIterator[Liar]:
    liar = Liar(answer)
    server = await asyncio.start_server(liar.serve, "127.0.0.1", liar.port)
    yield liar
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"ACKF" + struct.pack("<I", 0x7FFF_FFFF),
        b"MSGF" + struct.pack("<III", 0x8000_0000, 1, 1),
        b"OPNF" + struct.pack("<II", 0xFFFF_FFFF, 0),
    ],
)
async def test_a_message_announced_as_2_gib_is_cut_off_before_it_is_buffered(answer: bytes) -> None:
    async with lying(answer) as liar:
        device = opcua_device(liar.port, timeout_s=0.5)
        points = await device.poll()
        assert points["p_w"].quality is Quality.MISSING
        assert "announced a chunk of" in points["p_w"].reason
        await asyncio.sleep(0.05)
        assert liar.connections == 1
        assert liar.open == 0
        assert liar.sent_bytes < 16 << 20  # what the two sockets hold; asyncua alone would take it all
        await device.aclose()


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ACKF\x08\0\0\0", b"ERRF\x10\0\0\0\0\0\0\x80\0\0\0\0"],
)
async def test_a_peer_that_speaks_something_else_is_missing_and_nothing_is_raised(answer: bytes) -> None:
    async with lying(answer) as liar:
        device = opcua_device(liar.port, timeout_s=0.3)
        for _ in range(2):
            assert (await device.poll())["p_w"].quality is Quality.MISSING
        await device.aclose()


async def test_the_peer_cannot_lift_our_limits() -> None:
    caps = protocol.Caps(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, MESSAGE_BYTES_MAX)
    caps.update_client_limits(ua.Acknowledge(0, 65_535, 0x7FFF_FFFF, 0, 0))
    assert caps.max_recv_buffer == CHUNK_BYTES_MAX
    assert not caps.is_msg_size_within_limit(MESSAGE_BYTES_MAX + 1)
    assert not caps.is_chunk_count_within_limit(CHUNKS_MAX + 1)


async def test_an_array_of_nothing_costs_nothing() -> None:
    announced = bytes([0x80]) + struct.pack("<i", 0x7FFF_FFFF)
    with pytest.raises(ValueError, match="2147483647 nulls"):
        ua.ua_binary.variant_from_binary(ua.utils.Buffer(announced))


async def test_nobody_listens() -> None:
    device = opcua_device(free_port(), timeout_s=0.3)
    points = await device.poll()
    assert points["p_w"].quality is Quality.MISSING
    assert "Connection refused" in points["p_w"].reason
    assert "next attempt in" in (await device.poll())["p_w"].reason
    await device.aclose()


async def test_a_silent_gate_keeps_connections_open_and_passes_nothing() -> None:
    silent = [False]

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    inner, outer = free_port(), free_port()
    server = await asyncio.start_server(echo, "127.0.0.1", inner)
    gate = Gate("127.0.0.1", outer, inner, lambda: silent[0])
    await gate.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", outer)
    writer.write(b"one")
    assert await reader.read(100) == b"one"
    silent[0] = True
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(100), 0.1)
    silent[0] = False
    assert await reader.read(100) == b"two"
    await gate.stop()
    assert await reader.read(100) == b""
    writer.close()
    server.close()
