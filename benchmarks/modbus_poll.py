"""CPU time of one Modbus poll: our driver, a C epoll loop, pymodbus and two Node clients, in one run on one server.

One poll is FC3 for 60 registers, decoded to 30 float32, each one checked. Every client is a process of its own and is
measured by getrusage; the clients take turns, so that what else runs on the machine hits them alike, and ratios are
those within a turn, of which the median is printed.

    python benchmarks/modbus_poll.py                   back to back with 1, 10, 50 and 200 devices, then 200 at 10 Hz
    python benchmarks/modbus_poll.py --fifo            the same under SCHED_FIFO, which gives the machine without others
    make node-packages                                 once, to include the Node clients; `make bench` does it

Needs gcc for the server and the yardstick.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
NODE_MODULES = HERE.parent / "build" / "node" / "node_modules"
POLLS = 10_000  # of a turn of one client
PRIORITY = "40"
Result = tuple[float, float, float]
"""CPU microseconds per poll, median and longest round in microseconds."""


def clients(epoll: Path) -> dict[str, list[str]]:
    """Commands of the clients that are here; what is not is said."""
    python = [sys.executable, str(HERE / "modbus_client.py")]
    found = {"C epoll": [str(epoll), "client"], "ours": [*python, "ours"], "pymodbus": [*python, "pymodbus"]}
    for library in ("jsmodbus", "modbus-serial"):
        if shutil.which("node") and (NODE_MODULES / library).is_dir():
            found[library] = ["node", str(HERE / "modbus_client.js"), library]
        else:
            print(f"{library}: skipped, make node-packages has not been run (or no node)")
    return found


def fifo(core: int, wanted: bool) -> list[str]:
    """Beginning of a command that runs on one core under real-time scheduling."""
    return ["taskset", "-c", str(core), "chrt", "--fifo", PRIORITY] if wanted else []


@contextmanager
def served(epoll: Path, real_time: bool) -> Iterator[str]:
    """The port of a running server."""
    with subprocess.Popen(
        [*fifo(0, real_time), str(epoll), "server", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def run(command: list[str], arguments: list[str], real_time: bool) -> Result:
    """One turn of one client."""
    environment = os.environ | {"NODE_PATH": str(NODE_MODULES), "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [*fifo(1, real_time), *command, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr.strip()}")
    cpu_us, median_us, longest_us = map(float, done.stdout.split())
    return cpu_us, median_us, longest_us


def compare(commands: dict[str, list[str]], port: str, count: int, turns: int, real_time: bool) -> None:
    """Back to back with ``count`` devices."""
    results: dict[str, list[Result]] = {name: [] for name in commands}
    for _ in range(turns):
        for name, command in commands.items():
            results[name].append(run(command, [port, str(count), str(POLLS // count)], real_time))
    for name, found in results.items():
        own = [result[0] for result in found]
        against = {
            other: statistics.median(a / b[0] for a, b in zip(own, results[other], strict=True))
            for other in ("C epoll", "ours")
        }
        print(
            f"N={count:3d} {name:14s} {statistics.median(own):7.1f} us CPU per poll, "
            f"{against['C epoll']:5.2f} x C, {against['ours']:5.2f} x ours"
        )


def paced(epoll: Path, port: str, count: int, period_ms: int, real_time: bool) -> None:
    """At a fixed rate: how long a round takes, and how much of a core."""
    commands = {"C epoll": [str(epoll), "paced"], "ours": [sys.executable, str(HERE / "modbus_client.py"), "ours"]}
    for name, command in commands.items():
        cpu_us, median_us, longest_us = run(command, [port, str(count), "50", str(period_ms)], real_time)
        share = 100.0 * cpu_us * count / (1e3 * period_ms)
        print(
            f"{count} devices every {period_ms} ms: {name:8s} round p50 {median_us / 1e3:.2f} ms, "
            f"max {longest_us / 1e3:.2f} ms, {share:.1f} % of a core"
        )


def main() -> None:
    """Run the comparison once and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fifo", action="store_true", help="SCHED_FIFO, server on core 0 and client on core 1")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--devices", default="1,10,50,200")
    options = parser.parse_args()
    if shutil.which("gcc") is None:
        print("modbus_poll: skipped, there is no gcc to build the server and the yardstick with")
        return
    with tempfile.TemporaryDirectory() as folder:
        epoll = Path(folder) / "modbus_epoll"
        subprocess.run(["gcc", "-O2", "-o", str(epoll), str(HERE / "modbus_epoll.c")], check=True)
        with served(epoll, options.fifo) as port:
            commands = clients(epoll)
            for count in map(int, options.devices.split(",")):
                compare(commands, port, count, options.turns, options.fifo)
            paced(epoll, port, 200, 100, options.fifo)


if __name__ == "__main__":
    main()
