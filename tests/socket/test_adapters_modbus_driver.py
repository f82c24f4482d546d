"""Every Modbus table, through our server and our driver and a real socket between them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest
from adapters_kit import TableDevice
from free_ports import free_port

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from controller.domain.site import Device
from drivers.modbus.device import ModbusDevice
from drivers.profile import PointSpec, Profile
from drivers.profile_loader import load_profile, profile_ids
from simulators.adapters.encoding import RegisterMap
from simulators.adapters.modbus_server import ModbusServer

pytestmark = pytest.mark.socket

PROFILES = [load_profile(name) for name in profile_ids() if load_profile(name).protocol == "modbus"]


class Wire:
    """One simulated device and our driver for it."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.port = free_port()
        self.simulated = TableDevice(profile, _values(profile))
        self.server = ModbusServer([("127.0.0.1", self.port, 5, self.simulated)])
        endpoint = f"127.0.0.1:{self.port}"
        table = Device("DUT", "modbus", endpoint, 5, profile.id, {}, None, 1.0, 3.0, 0.5)
        self.driver = ModbusDevice(table, profile, SystemClock())


def _values(profile: Profile) -> dict[str, float]:
    """A plausible value for every point that is neither identity nor scale factor nor text."""
    factors = {spec.sf for spec in profile.points}
    return {
        spec.name: _plausible(spec)
        for spec in profile.points
        if spec.name not in profile.identity and spec.name not in factors and spec.type != "string"
    }


def _plausible(spec: PointSpec) -> float:
    low = -1e4 if spec.low is None else max(spec.low, -1e4)
    high = 1e4 if spec.high is None else min(spec.high, 1e4)
    if spec.type.startswith("u") and spec.scale > 0.0:
        low = max(low, 0.0)
    return round(low + 0.4 * (high - low), 0) if high - low > 10.0 else low + 0.5 * (high - low)


def _step(wire: Wire, spec: PointSpec) -> float:
    """The resolution of a point's registers, in SI."""
    if spec.type.startswith("float"):
        return 1e-5 * abs(wire.simulated.table[spec.name])
    exponent = 0 if spec.sf is None else RegisterMap(wire.profile).exponent(spec.sf, wire.simulated.table)
    return 0.51 * abs(spec.scale) * 10.0**exponent


@pytest.fixture(params=PROFILES, ids=[profile.id for profile in PROFILES])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    built = Wire(request.param)
    await built.server.start()
    yield built
    await built.driver.aclose()
    await built.server.stop()


async def test_every_point_arrives_within_the_resolution_of_its_registers(wire: Wire) -> None:
    points = await wire.driver.poll()
    for name, value in wire.simulated.table.items():
        spec = wire.profile.point(name)
        if "r" in spec.access:
            assert points[name].quality is Quality.GOOD, f"{name}: {points[name].reason}"
            assert points[name].value == pytest.approx(value, abs=_step(wire, spec)), name


async def test_what_a_device_does_not_have_is_never_a_number(wire: Wire) -> None:
    wire.simulated.table = dict.fromkeys(wire.simulated.table, math.nan)
    points = await wire.driver.poll()
    for name in wire.simulated.table:
        spec = wire.profile.point(name)
        if "r" in spec.access and (spec.missing or spec.type.startswith("float")):
            assert not points[name].usable, name


async def test_every_command_reaches_the_device_and_is_read_back(wire: Wire) -> None:
    await wire.driver.poll()
    for command in wire.profile.commands:
        wire.simulated.written.clear()
        outcome = await wire.driver.write({command.name: 2000.0}, 60.0, {command.name: 1000.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome.reason
        written = dict(wire.simulated.written)
        if command.read_back is not None:  # what the device says that it applies; a table has no mind of its own
            wire.simulated.table[command.read_back] = written[command.point]
        whole = 1.0 if command.of is None else wire.simulated.table[command.of]
        spec = wire.profile.point(command.point)
        assert written[command.point] * whole == pytest.approx(2000.0, abs=2.0 * _step(wire, spec) * whole)
        assert command.lease_point is None or written[command.lease_point] == 60.0
        name = "q_set_var" if command.name == "q_var" else "p_set_w"
        shown = (await wire.driver.poll())[name]
        assert shown.quality is Quality.GOOD
        assert abs(shown.value) == pytest.approx(2000.0, abs=2.0 * _step(wire, spec) * whole)


async def test_a_silent_device_is_not_a_value(wire: Wire) -> None:
    await wire.driver.poll()
    wire.simulated.silent = True
    points = await wire.driver.poll()
    for name in wire.simulated.table:  # the identity may be remembered, with the time at which it was read
        assert name not in points or not points[name].usable, name
