"""Is the period held? 200 Modbus devices, 60 registers each, every 100 ms for a minute, as the control process polls.

One group poller on the control process' event loop asks all of them; all 30 values of each go into the process image,
of which a picture is taken every 200 ms, as for a cycle of the fast loop. A period is missed when a device was not
asked in it, because its last poll or the loop was late.

    python benchmarks/modbus_hold.py              add --fifo for SCHED_FIFO, which gives the machine without others
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import structlog
from modbus_client import POINTS, host, table
from modbus_poll import HERE, PRIORITY, served

from controller.clock import SystemClock
from controller.domain.site import Device
from controller.runtime.event_loop import precise_loop
from controller.runtime.group_poller import GroupPoller
from controller.runtime.poller import Poller
from controller.runtime.process_image import ProcessImage
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import Fleet
from drivers.modbus.lines import Lines

PERIOD_S, CYCLE_S, TIMEOUT_S, STALE_S = 0.1, 0.2, 0.3, 2.0


def device_at(port: int, index: int) -> Device:
    """One device whose every value is a point of the site."""
    feeds = {f"x{point}": f"D{index}.x{point}" for point in range(POINTS)}
    endpoint = f"{host(index)}:{port}"
    return Device(f"D{index}", "modbus", endpoint, 1, "bench", feeds, None, PERIOD_S, TIMEOUT_S, STALE_S)


async def hold(port: int, count: int, seconds: float) -> None:
    """Poll, and print what was missed."""
    clock, profile = SystemClock(), table()
    lines = Lines(clock)
    devices = [device_at(port, index) for index in range(count)]
    links = {device.id: ModbusDevice(device, profile, clock, lines=lines) for device in devices}
    image = ProcessImage(devices)
    pollers = {
        device.id: Poller(device, links[device.id], image, clock, on_back=lambda _: None, beat=lambda: None)
        for device in devices
    }
    for link in links.values():
        await link.poll()
    gc.collect()
    gc.freeze()  # as the control process does
    group = GroupPoller(pollers, list(links.values()), PERIOD_S, clock, Fleet)
    began_s, spent_s, oldest_s = time.monotonic(), time.process_time(), []
    task = asyncio.create_task(group.run())
    while time.monotonic() - began_s < seconds:
        await asyncio.sleep(CYCLE_S)
        snapshot = image.freeze(clock.now_s())
        oldest_s.append(max((snapshot.now_s - point.measured_at_s for point in snapshot.points.values()), default=0.0))
    took_s, spent_s = time.monotonic() - began_s, time.process_time() - spent_s
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    told = pollers.values()
    print(
        f"{count} devices every {1e3 * PERIOD_S:.0f} ms for {took_s:.0f} s: {sum(p.ok for p in told)} polls, "
        f"{sum(p.failed for p in told)} failed, {sum(p.skipped for p in told)} missed by "
        f"{sum(p.skipped > 0 for p in told)} devices; oldest value when looked at p50 "
        f"{1e3 * statistics.median(oldest_s):.0f} ms, max {1e3 * max(oldest_s[1:]):.0f} ms; "
        f"{100.0 * spent_s / took_s:.1f} % of a core"
    )
    for link in links.values():
        await link.aclose()


def main() -> None:
    """Build the server, start it, poll."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fifo", action="store_true", help="SCHED_FIFO for the server and for the measurement")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--devices", type=int, default=200)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        epoll = Path(folder) / "modbus_epoll"
        subprocess.run(["gcc", "-O2", "-o", str(epoll), str(HERE / "modbus_epoll.c")], check=True)
        with served(epoll, options.fifo) as port:
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            if options.fifo:
                os.sched_setaffinity(0, {1})
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(int(PRIORITY)))
            with asyncio.Runner(loop_factory=precise_loop) as runner:
                runner.run(hold(int(port), options.devices, options.seconds))


if __name__ == "__main__":
    main()
