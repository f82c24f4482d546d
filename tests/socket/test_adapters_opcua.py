"""Simulated devices on OPC UA: our driver and a foreign client against our server, round trips and security."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio
from adapters_kit import RTU, RTU_VALUES, TableDevice, opcua_device, poll_until_usable
from asyncua import Client, ua
from free_ports import free_port

from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from drivers.opcua.security import OpcUaSecurity, fingerprint
from drivers.opcua.session import guard, session
from drivers.profile_loader import load_profile
from simulators.adapters.opcua_server import OpcUaServer, generate_credentials

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]

REVERT = {"generation_w_max": 1e5, "q_var": 0.0}
TRANSFORMER = load_profile("opcua_transformer")


class World:
    """Two devices behind one endpoint."""

    def __init__(self) -> None:
        self.port = free_port()
        self.rtu = TableDevice(RTU, RTU_VALUES)
        self.transformer = TableDevice(TRANSFORMER, {"top_oil_c": 61.5, "tap_pos": -3.0, "i_a": math.nan})
        self.server = OpcUaServer([("127.0.0.1", self.port, self.rtu), ("127.0.0.1", self.port, self.transformer)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[World]:
    built = World()
    await built.server.start()
    yield built
    await built.server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def world(served: World) -> World:
    """The servers of the module (an address space takes a second to build) with fresh devices."""
    served.rtu.table = dict(RTU_VALUES)
    served.rtu.refuses = set()
    served.rtu.silent = False
    served.rtu.written = []
    await served.server.refresh()
    return served


async def test_what_the_device_says_arrives_in_the_house_sign(world: World) -> None:
    device = opcua_device(world.port)
    points = await device.poll()
    assert {name: points[name].value for name in RTU_VALUES} == RTU_VALUES
    assert all(point.quality is Quality.GOOD for point in points.values())
    assert points["p_set_w"].value == -1e6
    assert 0.0 <= points["p_w"].measured_at_s <= points["p_w"].received_at_s
    await device.aclose()


async def test_a_change_is_seen_after_the_next_refresh(world: World) -> None:
    device = opcua_device(world.port)
    world.rtu.table["p_w"] = -123.0
    await world.server.refresh()
    assert (await device.poll())["p_w"].value == -123.0
    await device.aclose()


async def test_a_set_point_arrives_with_its_lease_and_fall_back_and_is_read_back(world: World) -> None:
    device = opcua_device(world.port)
    outcome = await device.write({"generation_w_max": 4e5, "q_var": -2e4}, 45.0, REVERT)
    assert outcome.state is OutcomeState.ACKNOWLEDGED
    assert sorted(world.rtu.written[:3]) == [("lease_s", 45.0), ("limit_rvrt_w", 1e5), ("q_rvrt", 0.0)]
    assert world.rtu.written[3:] == [("limit_w", 4e5), ("q_set", -2e4)]
    points = await device.poll()
    assert (points["p_set_w"].value, points["q_set_var"].value) == (-4e5, -2e4)
    await device.aclose()


async def test_nothing_at_all_is_sent_when_one_number_is_nan(world: World) -> None:
    device = opcua_device(world.port)
    outcome = await device.write({"generation_w_max": 4e5, "q_var": math.nan}, 45.0, REVERT)
    assert outcome.state is OutcomeState.REFUSED
    assert world.rtu.written == []
    await device.aclose()


async def test_no_set_point_follows_a_fall_back_that_the_device_refused(world: World) -> None:
    world.rtu.refuses = {"limit_rvrt_w"}
    device = opcua_device(world.port)
    outcome = await device.write({"generation_w_max": 4e5}, 45.0, REVERT)
    assert outcome.state is OutcomeState.REFUSED
    assert "limit_rvrt_w: BadOutOfRange" in outcome.reason
    assert ("limit_w", 4e5) not in world.rtu.written
    await device.aclose()


async def test_two_devices_on_one_server_are_told_apart(world: World) -> None:
    device = opcua_device(world.port, TRANSFORMER)
    points = await device.poll()
    assert (points["top_oil_c"].value, points["tap_pos"].value) == (61.5, -3.0)
    assert points["i_a"].quality is Quality.BAD
    assert "BadNotSupported" in points["i_a"].reason
    await device.aclose()


async def test_a_device_that_the_server_cannot_reach_is_bad_and_takes_no_write(world: World) -> None:
    device = opcua_device(world.port)
    await device.poll()
    world.rtu.silent = True
    await world.server.refresh()
    points = await device.poll()
    assert all(not points[name].usable for name in RTU_VALUES)
    assert "BadNoCommunication" in points["p_w"].reason
    assert (await device.write({"generation_w_max": 4e5}, 45.0, REVERT)).state is OutcomeState.REFUSED
    assert world.rtu.written == []
    await device.aclose()


async def test_a_foreign_client_browses_reads_writes_and_is_told_off(world: World) -> None:
    async with Client(f"opc.tcp://127.0.0.1:{world.port}/", timeout=2) as client:
        index = await client.get_namespace_index("urn:gridedge:rtu:der")
        root = await client.nodes.objects.get_child([f"{index}:DER"])
        total = await root.get_child([f"{index}:MMXU", f"{index}:TotW"])
        assert await total.read_value() == 5e5
        assert await total.read_data_type_as_variant_type() == ua.VariantType.Double
        unit = await (await total.get_child("0:EngineeringUnits")).read_value()
        assert unit.DisplayName.Text == "W"
        limit = await root.get_child([f"{index}:DRCC", f"{index}:OutWSet"])
        await limit.write_value(2.5e5)
        assert world.rtu.written == [("limit_w", 2.5e5)]
        for value, fault in ((7, "BadTypeMismatch"), (math.nan, "BadOutOfRange")):
            with pytest.raises(ua.UaStatusCodeError, match=fault):
                await limit.write_value(value)
        with pytest.raises(ua.UaStatusCodeError, match="BadNotWritable"):
            await total.write_value(1.0)
        assert await limit.read_value() == 2.5e5


async def test_a_channel_is_renewed_without_losing_a_poll(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CHANNEL_LIFETIME_S", 0.02)
    monkeypatch.setattr(session, "LIFETIME_S_MIN", 0.0)
    device = opcua_device(world.port)
    for _ in range(30):
        points = await device.poll()
        assert points["p_w"].usable, points["p_w"].reason
    await device.aclose()


async def test_a_server_without_our_namespace_gives_no_value_and_takes_no_write(world: World) -> None:
    device = opcua_device(world.port, replace(RTU, namespace_uri="urn:somebody:else"))
    points = await device.poll()
    assert points["p_w"].quality is Quality.BAD
    assert points["p_w"].reason == "namespace urn:somebody:else is not on the server"
    outcome = await device.write({"generation_w_max": 4e5}, 45.0, REVERT)
    assert outcome.state is OutcomeState.FAILED
    assert "urn:somebody:else" in outcome.reason
    await device.aclose()


async def test_a_port_that_is_taken_leaves_nothing_open(world: World) -> None:
    other = free_port()
    server = OpcUaServer([("127.0.0.1", other, world.rtu), ("127.0.0.1", world.port, world.transformer)])
    with pytest.raises(OSError, match=str(world.port)):
        await server.start()
    assert "Connection refused" in (await opcua_device(other).poll())["p_w"].reason


async def test_a_closed_device_stays_closed(world: World) -> None:
    device = opcua_device(world.port)
    await device.poll()
    await device.aclose()
    await device.aclose()
    assert (await device.poll())["p_w"].reason == "closed"


@pytest.fixture(scope="module")
def security() -> Callable[[bytes], OpcUaSecurity]:
    ours = generate_credentials("urn:gridedge:controller")

    def pin(server_certificate_der: bytes) -> OpcUaSecurity:
        return OpcUaSecurity(
            ours.certificate_der, ours.private_key_pem, server_certificate_der, "urn:gridedge:controller"
        )

    return pin


async def test_only_the_pinned_server_gets_a_connection(security: Callable[[bytes], OpcUaSecurity]) -> None:
    genuine, impostor = generate_credentials(), generate_credentials()
    port = free_port()
    rtu = TableDevice(RTU, RTU_VALUES)
    server = OpcUaServer([("127.0.0.1", port, rtu)], genuine)
    await server.start()
    honest = opcua_device(port, timeout_s=2.0, security=security(genuine.certificate_der))
    points = await poll_until_usable(honest, "p_w", 4.0)
    assert points["p_w"].value == -5e5
    assert (await honest.write({"generation_w_max": 4e5}, 45.0, REVERT)).state is OutcomeState.ACKNOWLEDGED
    fooled = opcua_device(port, security=security(impostor.certificate_der))
    for _ in range(3):
        points = await fooled.poll()
        assert points["p_w"].quality is Quality.MISSING
    assert fingerprint(impostor.certificate_der) in points["p_w"].reason
    plain = opcua_device(port)
    assert not (await plain.poll())["p_w"].usable
    for device in (honest, fooled, plain):
        await device.aclose()
    await server.stop()
