"""How long connecting to an OPC UA server holds the control loop: open and secured, the first time and again.

A simulated server with 200 points runs in a process of its own. The client connects, reads, loses the connection and
connects anew, over and over, on the loop of the control process, where a sleeper wakes every 2 ms as the control loop
would. "Piece" is the CPU time of one callback of the loop: how long the client itself holds it. "Late" is how much
later than asked the sleeper woke by the clock, the work of everybody else on the machine included.

    python benchmarks/opcua_connect.py            add --fifo for SCHED_FIFO, which gives the machine without others
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from opcua_many import Pieces

from controller.clock import SystemClock
from controller.domain.site import Device
from controller.runtime.event_loop import precise_loop
from controller.runtime.realtime import threads_give_way
from drivers.opcua.device import OpcUaDevice
from drivers.opcua.security import OpcUaSecurity
from drivers.profile import FailBehaviour, PointSpec, Profile
from simulators.adapters.opcua_server import Credentials, OpcUaServer, generate_credentials

ROOT = Path(__file__).parents[1]
PRIORITY, POINTS = 40, 200
NAMES = [f"v{at:03}" for at in range(POINTS)]
OURS_URI = "urn:gridedge:controller"


def table() -> Profile:
    """A meter with many points."""
    points = tuple(PointSpec(name, "Double", "W", "bench", path=(name,)) for name in NAMES)
    holds, uri = FailBehaviour.HOLDS_LAST, "urn:maker:meter"
    return Profile("many", "meter", "t", "opcua", "b", holds, points, namespace_uri=uri, root=("Meter",))


class Meter:
    """The simulated device."""

    id, silent, profile = "M", False, table()

    def values(self) -> Mapping[str, float]:
        """Steady."""
        return dict.fromkeys(NAMES, 1.0)

    def write(self, point: str, value: float) -> bool:
        """It has no commands."""
        return False


async def serve(port: int, credentials: Credentials) -> None:
    """Open and secured; prints a line when it listens."""
    await OpcUaServer([("127.0.0.1", port, Meter())], credentials, allow_none=True).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def measure(port: int, security: OpcUaSecurity | None, again: int) -> None:
    """Print the first connection of this process, and the later ones together."""
    terms = Device("M", "opcua", f"opc.tcp://127.0.0.1:{port}/", 1, "many", {}, None, 0.1, 3.0, 5.0, {}, "read")
    pieces = Pieces()
    async with AsyncExitStack() as opened:
        gc.collect()
        gc.freeze()
        sleeper = asyncio.create_task(pieces.sleeper())
        opened.callback(sleeper.cancel)
        await asyncio.sleep(0.05)
        for label, times in (("first", 1), ("again", again)):
            pieces.cpu_ms.clear()
            pieces.late_ms.clear()
            for _ in range(times):
                await connect_once(terms, security)
            tell(f"{'secured' if security else 'open':8s} {label} x{times:<3d}", pieces)


async def connect_once(terms: Device, security: OpcUaSecurity | None) -> None:
    """A connection from nothing to the first value, and its loss."""
    device = OpcUaDevice(terms, Meter.profile, SystemClock(), security)
    for _ in range(100):
        if (await device.poll())["v000"].usable:
            break
        await asyncio.sleep(0.02)
    else:
        raise SystemExit("no connection")
    await device.aclose()


def tell(label: str, pieces: Pieces) -> None:
    """One line."""
    cpu_ms, late_ms = sorted(pieces.cpu_ms), sorted(pieces.late_ms)
    print(
        f"{label} piece p99 {cpu_ms[int(0.99 * len(cpu_ms))]:6.2f} max {cpu_ms[-1]:6.2f} ms, "
        f"above 2 ms {sum(piece > 2.0 for piece in cpu_ms)}; "
        f"late p50 {late_ms[len(late_ms) // 2]:5.2f} p99 {late_ms[int(0.99 * len(late_ms))]:6.2f} "
        f"max {late_ms[-1]:6.2f} ms",
        flush=True,
    )


def main() -> None:
    """Start the server and measure both kinds of connection, each in a process of its own."""
    if sys.argv[1:2] in (["serve"], ["client"]):
        port, what, again = pickle.loads(sys.stdin.buffer.read())
        security = OpcUaSecurity(*what) if sys.argv[1] == "client" and what else None
        threads_give_way()
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            runner.run(serve(port, what) if sys.argv[1] == "serve" else measure(port, security, again))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fifo", action="store_true", help="SCHED_FIFO for the client")
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    theirs, ours = generate_credentials(), generate_credentials(OURS_URI)
    secured = (ours.certificate_der, ours.private_key_pem, theirs.certificate_der, OURS_URI)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    fifo = ["taskset", "-c", "1", "chrt", "--fifo", str(PRIORITY)] if options.fifo else []
    command = [sys.executable, __file__]
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with subprocess.Popen(
        [*command, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(pickle.dumps((port, theirs, 0)))
        server.stdin.close()
        server.stdout.readline()
        try:
            for chosen in (None, secured):
                told = pickle.dumps((port, chosen, options.times))
                subprocess.run([*fifo, *command, "client"], input=told, env=environment, check=True, timeout=300)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
