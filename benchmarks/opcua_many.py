"""1000 changing OPC UA values at 10 Hz beside a control loop: CPU time, and how long the loop is held.

The server is node-opcua in a process of its own (`make interop` installs it). Each client runs in a process of its own
on one event loop, where a sleeper wakes every 2 ms as the control loop would. "Piece" is the CPU time between two turns
of the loop: what the client itself holds it for, whatever else the machine does. "Late" is how much later than asked
the sleeper woke, by the clock: on a shared machine that is everybody's work.

    python benchmarks/opcua_many.py               our read and subscription, asyncua's read and subscription
    python benchmarks/opcua_many.py --fifo        the same with the client under SCHED_FIFO on a core of its own
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from asyncio import events
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NODE_MODULES = ROOT / "build" / "node" / "node_modules"
SERVER = ROOT / "tests" / "interop" / "node_opcua_server.js"
COUNT, PERIOD_S, PRIORITY = 1000, 0.1, 40
CLIENTS = ("ours read", "ours subscription", "asyncua read", "asyncua subscription")
NAMES = [f"v{at:04}" for at in range(COUNT)]


class Pieces:
    """Measures every callback of the loop in this process."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []
        self.late_ms: list[float] = []
        plain = events.Handle._run  # type: ignore[attr-defined]

        def run(handle: events.Handle) -> None:
            began_ns = time.thread_time_ns()
            plain(handle)
            self.cpu_ms.append((time.thread_time_ns() - began_ns) / 1e6)

        events.Handle._run = run  # type: ignore[attr-defined]

    async def sleeper(self) -> None:
        """Wakes every 2 ms."""
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(0.002)
            self.late_ms.append((time.perf_counter() - began_s - 0.002) * 1e3)


async def ours(port: int, delivery: str, seconds: float, pieces: Pieces) -> int:
    """Our driver, polled every period as the controller does; how many values changed."""
    from controller.clock import SystemClock
    from controller.domain.site import Device
    from drivers.opcua.device import OpcUaDevice
    from drivers.profile import FailBehaviour, PointSpec, Profile

    points = tuple(PointSpec(name, "Double", "W", "bench", path=(name,)) for name in NAMES)
    fails = FailBehaviour.HOLDS_LAST
    uri = "urn:maker:meter"
    profile = Profile("many", "meter", "t", "opcua", "b", fails, points, namespace_uri=uri, root=("Meter",))
    terms = Device("B", "opcua", f"opc.tcp://127.0.0.1:{port}/", 1, "many", {}, None, PERIOD_S, 3.0, 5.0, {}, delivery)
    device = OpcUaDevice(terms, profile, SystemClock())
    for _ in range(50):
        if (await device.poll())["v0000"].usable:
            break
        await asyncio.sleep(0.1)
    seen, changed, until_s = {}, 0, await start(pieces) + seconds
    while time.perf_counter() < until_s:
        found = await device.poll()
        changed += sum(seen.get(name) != found[name].value for name in ("v0000", "v0500", "v0999"))
        seen = {name: found[name].value for name in ("v0000", "v0500", "v0999")}
        await asyncio.sleep(PERIOD_S)
    await device.aclose()
    return changed * COUNT // 3


async def stock(port: int, delivery: str, seconds: float, pieces: Pieces) -> int:
    """asyncua as its documentation shows it."""
    from asyncua import Client

    class Handler:
        changed = 0

        def datachange_notification(self, _node: Any, _value: Any, _data: Any) -> None:
            self.changed += 1

    handler = Handler()
    async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=5) as client:
        index = await client.get_namespace_index("urn:maker:meter")
        meter = await client.nodes.objects.get_child([f"{index}:Meter"])
        nodes = (await meter.get_children())[-COUNT:]
        if delivery == "subscription":
            subscription = await client.create_subscription(int(PERIOD_S * 1000), handler)
            for start_at in range(0, COUNT, 30):
                await subscription.subscribe_data_change(nodes[start_at : start_at + 30])
            await asyncio.sleep(1.0)
        until_s, handler.changed = await start(pieces) + seconds, 0
        while time.perf_counter() < until_s:
            if delivery == "read":
                for start_at in range(0, COUNT, 100):
                    handler.changed += len(await client.read_values(nodes[start_at : start_at + 100]))
            await asyncio.sleep(PERIOD_S)
        return handler.changed


async def start(pieces: Pieces) -> float:
    """Forget what connecting cost; the collector is frozen as in the control process."""
    gc.collect()
    gc.freeze()
    await asyncio.sleep(0.01)  # this piece is not one of the client's
    pieces.cpu_ms.clear()
    pieces.late_ms.clear()
    return time.perf_counter()


async def measure(client: str, port: int, seconds: float) -> None:
    """One client in this process; prints a line."""
    pieces = Pieces()
    sleeper = asyncio.create_task(pieces.sleeper())
    whose, delivery = client.split()
    began_s = time.process_time()
    changed = await (ours if whose == "ours" else stock)(port, delivery, seconds, pieces)
    sleeper.cancel()
    cpu_ms, late_ms = sorted(pieces.cpu_ms), sorted(pieces.late_ms)
    share = 100.0 * sum(cpu_ms) / 1e3 / seconds
    assert time.process_time() > began_s
    print(
        f"{client:22s} {changed / seconds:7.0f} values/s  {share:5.1f} % of a core  "
        f"piece p99.9 {cpu_ms[int(0.999 * len(cpu_ms))]:6.2f} max {cpu_ms[-1]:6.2f} ms  "
        f"late p50 {late_ms[len(late_ms) // 2]:5.2f} p99 {late_ms[int(0.99 * len(late_ms))]:6.2f} "
        f"max {late_ms[-1]:6.2f} ms",
        flush=True,
    )


def main() -> None:
    """Start the server and measure the clients one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fifo", action="store_true", help="SCHED_FIFO for the client")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--client", choices=CLIENTS)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if options.client:
        asyncio.run(measure(options.client, options.port, options.seconds))
        return
    if shutil.which("node") is None or not (NODE_MODULES / "node-opcua-server").is_dir():
        print("opcua_many: skipped, node-opcua-server is not installed; make interop does it")
        return
    with tempfile.TemporaryDirectory() as pki:
        fifo = ["taskset", "-c", "1", "chrt", "--fifo", str(PRIORITY)] if options.fifo else []
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        aside = ["taskset", "-c", "0"] if options.fifo else []
        command = [*aside, "node", str(SERVER), pki, str(COUNT), str(int(PERIOD_S * 1000))]
        environment = os.environ | {"NODE_PATH": str(NODE_MODULES), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        ) as server:
            try:
                assert server.stdout is not None
                port = next(line.split()[1] for line in server.stdout if line.startswith("port "))
                for client in CLIENTS:
                    arguments = ["--client", client, "--port", port, "--seconds", str(options.seconds)]
                    subprocess.run(
                        [*fifo, sys.executable, __file__, *arguments], env=environment, check=True, timeout=120
                    )
            finally:
                server.kill()


if __name__ == "__main__":
    main()
