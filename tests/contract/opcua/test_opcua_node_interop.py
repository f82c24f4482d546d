"""Our OPC UA client against node-opcua's server, which nobody here wrote. `make interop` installs it and runs this."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hostile_opcua_server import opcua_device

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.site import Device
from drivers.opcua.device import OpcUaDevice
from drivers.profile import FailBehaviour, PointSpec, Profile

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "tests" / "interop" / "node_opcua_server.js"
NODE_MODULES = ROOT / "build" / "node" / "node_modules"

pytestmark = [
    pytest.mark.socket,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        shutil.which("node") is None or not (NODE_MODULES / "node-opcua-server").is_dir(),
        reason="node-opcua-server is not installed; make interop does it",
    ),
]
COUNT = 250
MANY = Profile(
    "many",
    "meter",
    "t",
    "opcua",
    "test",
    FailBehaviour.HOLDS_LAST,
    tuple(PointSpec(f"v{at:04}", "Double", "W", "test", path=(f"v{at:04}",)) for at in range(COUNT)),
    namespace_uri="urn:maker:meter",
    root=("Meter",),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """Where a server answers that has the meter and as many values that change ten times a second."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SERVER),
        str(tmp_path_factory.mktemp("pki")),
        str(COUNT),
        "100",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"NODE_PATH": str(NODE_MODULES)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60.0):
            line = b""
            while not line.startswith(b"port "):  # the library has remarks of its own
                line = await process.stdout.readline()
                assert line, "the server ended"
        yield int(line.split()[1])
    finally:
        process.kill()
        await process.communicate()


async def until_good(device: OpcUaDevice, point: str, within_s: float = 5.0) -> None:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while not (found := (await device.poll())[point]).usable:
        assert loop.time() < until_s, found.reason
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("delivery", "limit_w"), [("read", 500.0), ("subscription", 400.0)])
async def test_a_server_that_others_wrote_is_found_read_watched_and_written(
    port: int, delivery: str, limit_w: float
) -> None:
    device = opcua_device(port, delivery, timeout_s=2.0)
    await until_good(device, "p_w")
    points = await device.poll()
    assert {name: points[name].value for name in ("p_w", "u_v", "i_a")} == {"p_w": 50.0, "u_v": 230.0, "i_a": 7.0}
    assert device.counts()["subscribed"] == (delivery == "subscription")
    outcome = await device.write({"generation_w_max": limit_w}, 60.0, {})
    assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome.reason
    await asyncio.sleep(1.5)
    points = await device.poll()
    assert points["p_set_w"].value == -limit_w
    assert points["p_w"].usable
    assert points["p_w"].received_at_s - points["p_w"].measured_at_s < 1.5
    assert device.counts()["connects"] == 1
    await device.aclose()


@pytest.mark.parametrize("delivery", ["read", "subscription", "auto"])
async def test_more_points_than_the_server_takes_in_a_call_come_in_several(port: int, delivery: str) -> None:
    endpoint = f"opc.tcp://127.0.0.1:{port}/"
    terms = Device("DUT", "opcua", endpoint, 1, "many", {}, None, 0.1, 3.0, 2.0, {}, delivery)
    device = OpcUaDevice(terms, MANY, SystemClock())
    await until_good(device, "v0000")
    first = await device.poll()
    await asyncio.sleep(0.5)
    second = await device.poll()
    assert all(point.usable for point in second.values())
    assert device.counts()["subscribed"] == (delivery != "read")
    for at, name in enumerate(first):
        assert second[name].value > first[name].value
        assert second[name].value % 1000 == at
    await device.aclose()
