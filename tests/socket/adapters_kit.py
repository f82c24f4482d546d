"""What the socket tests of the adapters share: a device, a server in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.opcua.device import OpcUaDevice
from drivers.opcua.security import OpcUaSecurity
from drivers.profile import Profile
from drivers.profile_loader import load_profile
from simulators.adapters.opcua_server import OpcUaServer

RTU = load_profile("opcua_rtu_der")
RTU_VALUES = {
    "p_w": -5e5,
    "q_var": 1e4,
    "p_avail_w": -6e5,
    "limit_w": 1e6,
    "limit_rvrt_w": 0.0,
    "q_set": 0.0,
    "q_rvrt": 0.0,
    "lease_s": 60.0,
}


class TableDevice:
    """A simulated device that is a table of values; refuses what ``refuses`` names."""

    def __init__(self, profile: Profile, values: Mapping[str, float]) -> None:
        self.id = profile.id
        self.profile = profile
        self.silent = False
        self.table = dict(values)
        self.refuses: set[str] = set()
        self.written: list[tuple[str, float]] = []

    def values(self) -> Mapping[str, float]:
        return self.table

    def write(self, point: str, value: float) -> bool:
        if point in self.refuses:
            return False
        self.written.append((point, value))
        self.table[point] = value
        return True


def opcua_device(
    port: int,
    profile: Profile = RTU,
    timeout_s: float = 1.0,
    security: OpcUaSecurity | None = None,
    delivery: str = "auto",
    poll_s: float = 1.0,
) -> OpcUaDevice:
    """Our driver, pointed at a local server."""
    endpoint = f"opc.tcp://127.0.0.1:{port}/"
    device = Device("DUT", "opcua", endpoint, 1, profile.id, {}, None, poll_s, 3.0, timeout_s, {}, delivery)
    return OpcUaDevice(device, profile, SystemClock(), security)


async def poll_until_usable(device: OpcUaDevice, point: str, within_s: float) -> Mapping[str, Measurement]:
    """Poll every 50 ms until ``point`` is usable; fails with the last reason."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while True:
        points = await device.poll()
        if points[point].usable:
            return points
        assert loop.time() < until_s, points[point].reason
        await asyncio.sleep(0.05)


async def _serve(port: int) -> None:
    server = OpcUaServer([("127.0.0.1", port, TableDevice(RTU, RTU_VALUES))])
    await server.start()
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
