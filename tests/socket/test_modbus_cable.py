"""A cable that is pulled, at our end or beyond the next switch: network namespaces, so root and iproute2."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.site import Device
from drivers.modbus.device import ModbusDevice
from drivers.profile_loader import load_profile

NOTICED_S, BACK_S = 3.0, 5.0
CUT_S = 5.0
POLL_S = 0.1
PORT = 15020
WRITES_OF_ONE = 2  # requests that one set point of this profile takes
SERVER = """
import asyncio, struct
async def serve(reader, writer):
    while True:
        try:
            head = await reader.readexactly(12)
            rest = await reader.readexactly(head[5] - 6)
        except (OSError, asyncio.IncompleteReadError):
            return
        if head[7] == 16:
            print("written", flush=True)
            writer.write(head[:4] + bytes((0, 6)) + head[6:12])
            continue
        count = struct.unpack_from(">H", head, 10)[0]
        body = bytes((head[6], head[7], 2 * count)) + struct.pack(">H", 1) * count
        writer.write(head[:4] + struct.pack(">H", len(body)) + body)
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 15020)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


def namespaces_work() -> str:
    """Why they do not; empty when they do."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return "needs root and iproute2 to make network namespaces"
    probe = f"ge-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False, timeout=10)
    if made.returncode:
        return f"cannot make network namespaces here: {made.stderr.decode().strip()}"
    ip("netns", "delete", probe)
    return ""


WHY_NOT = namespaces_work()
pytestmark = [pytest.mark.socket, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


class Cable:
    """We, a switch and a device behind it, each in a namespace; the cable is pulled on either side of the switch."""

    def __init__(self, number: int) -> None:
        tag = f"{os.getpid() % 10000}{number}"
        self.switch, self.far = f"ge-sw-{tag}", f"ge-dev-{tag}"
        self.ours, self.inner, self.outer, self.theirs = (f"{name}{tag}" for name in ("gea", "geb", "gec", "ged"))
        self.address = f"10.213.{number}.2"
        self.near = f"10.213.{number}.1/24"
        self.writes = 0

    def pull(self, beyond: bool) -> None:
        self._set(beyond, "down")

    def plug(self, beyond: bool) -> None:
        self._set(beyond, "up")

    def _set(self, beyond: bool, state: str) -> None:
        if beyond:
            ip("-n", self.switch, "link", "set", self.outer, state)
        else:
            ip("link", "set", self.ours, state)

    def connections(self) -> int:
        """Our sockets to the device that are connected or being connected."""
        wanted = socket.inet_aton(self.address)[::-1].hex().upper() + f":{PORT:04X}"
        lines = Path("/proc/self/net/tcp").read_text("ascii").splitlines()[1:]
        return sum(1 for line in lines if line.split()[2] == wanted and line.split()[3] in ("01", "02"))


@contextmanager
def cable_of(made: Cable) -> Iterator[None]:
    with ExitStack() as undo:
        for namespace in (made.switch, made.far):
            ip("netns", "add", namespace)
            undo.callback(ip, "netns", "delete", namespace)
        ip("link", "add", made.ours, "type", "veth", "peer", "name", made.inner, "netns", made.switch)
        ip("-n", made.switch, "link", "add", made.outer, "type", "veth", "peer", "name", made.theirs, "netns", made.far)
        ip("-n", made.switch, "link", "add", "br0", "type", "bridge")
        for port in (made.inner, made.outer):
            ip("-n", made.switch, "link", "set", port, "master", "br0")
            ip("-n", made.switch, "link", "set", port, "up")
        ip("-n", made.switch, "link", "set", "br0", "up")
        ip("address", "add", made.near, "dev", made.ours)
        ip("link", "set", made.ours, "up")
        ip("-n", made.far, "address", "add", f"{made.address}/24", "dev", made.theirs)
        ip("-n", made.far, "link", "set", made.theirs, "up")
        command = ["ip", "netns", "exec", made.far, sys.executable, "-c", SERVER]
        server = undo.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        undo.callback(server.kill)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
        server.kill()
        made.writes = server.stdout.read().count("written")


class Watch:
    """Polls as the controller does, and remembers when good data came and how many connections there were."""

    def __init__(self, wire: Cable) -> None:
        self.wire = wire
        profile = load_profile("ev_hub")
        endpoint = f"{wire.address}:{PORT}"
        table = Device("DUT", "modbus", endpoint, 1, profile.id, {}, None, POLL_S, 3.0, 0.8)
        self.device = ModbusDevice(table, profile, SystemClock())
        self.good_at = -1.0
        self.bad_since = -1.0
        self.connections_max = 0

    async def command(self) -> OutcomeState:
        return (await self.device.write({"consumption_w_max": 1e4}, 30.0, {"consumption_w_max": 0.0})).state

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if (await self.device.poll())["p_w"].usable:
                self.good_at, self.bad_since = loop.time(), -1.0
            elif self.bad_since < 0.0:
                self.bad_since = loop.time()
            self.connections_max = max(self.connections_max, self.wire.connections())
            await asyncio.sleep(POLL_S)


async def pulled(wire: Cable, beyond: bool) -> tuple[float, float, int]:
    """Seconds until the loss was noticed and, after the repair, until good data; most connections at once.

    Two set points are written: one before the cable is pulled, one into the dead cable.
    """
    loop = asyncio.get_running_loop()
    with cable_of(wire):
        watch = Watch(wire)
        polling = asyncio.ensure_future(watch.run())
        await asyncio.sleep(1.5)
        assert watch.good_at > 0.0
        assert await watch.command() is OutcomeState.ACKNOWLEDGED
        wire.pull(beyond)
        cut_at = loop.time()
        assert await watch.command() is OutcomeState.FAILED
        await asyncio.sleep(CUT_S)
        assert watch.bad_since > 0.0, "the loss was not noticed at all"
        noticed_s = watch.bad_since - cut_at
        wire.plug(beyond)
        mended_at = loop.time()
        while watch.good_at < mended_at and loop.time() < mended_at + 2.0 * BACK_S:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        back_s = watch.good_at - mended_at if watch.good_at > mended_at else float("inf")
        await asyncio.sleep(1.0)
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        await watch.device.aclose()
        return noticed_s, back_s, watch.connections_max


async def test_a_pulled_cable_is_noticed_and_good_data_come_soon_after_it_is_plugged() -> None:
    places = {"at our end": Cable(1), "beyond the switch": Cable(2)}
    ways = [pulled(wire, place != "at our end") for place, wire in places.items()]
    for (place, wire), (noticed_s, back_s, connections) in zip(
        places.items(), await asyncio.gather(*ways), strict=True
    ):
        print(f"{place}: noticed after {noticed_s:.2f} s, good data {back_s:.2f} s after the repair")
        assert noticed_s <= NOTICED_S, place
        assert back_s <= BACK_S, place
        assert connections == 1, place
        assert wire.writes == WRITES_OF_ONE, f"{place}: what was written into the dead cable has not arrived late"
