"""How many times faster than the world the closed loop runs: demo_primary, controller and simulated plant together.

    python benchmarks/virtual_day.py [HOURS]

HOURS of virtual time (default 1) from 11:30 on, one poll of every device, one cycle and one plant step a second, in
one process without sockets. Also says what one cycle of the core alone costs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from controller.clock import ManualClock
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.runtime.loop_sync import VirtualLoop
from simulators.adapters.in_process import InProcessField
from simulators.scenario import load_scenario
from simulators.world import World

SITE = Path(__file__).resolve().parents[1] / "site_configs" / "demo_primary.yaml"
START_S, SEED = 11.5 * 3600.0, 1


class TimedStep:
    """The core's step with a stopwatch."""

    def __init__(self) -> None:
        self.spent_s: list[float] = []

    def __call__(self, site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
        before = time.perf_counter()
        out = step(site, state, snapshot)
        self.spent_s.append(time.perf_counter() - before)
        return out


def main(hours: float) -> None:
    """Run and print."""
    site = load_site(SITE)
    world = World(site, load_scenario("demo_primary").starting_at(START_S), SEED)
    timed = TimedStep()
    loop = VirtualLoop(site, InProcessField(world, site.devices), timed, initial_state(site), clock=ManualClock())
    seconds = round(hours * 3600.0)
    before = time.perf_counter()
    for _ in range(seconds):
        loop.tick()
        world.step(1.0)
        loop.clock.advance(1.0)
    spent_s = time.perf_counter() - before
    ordered = sorted(timed.spent_s)
    p50, p99 = (1e3 * ordered[int(f * (len(ordered) - 1))] for f in (0.5, 0.99))
    over_s = max(limit["over_s"] for limit in world.score.limits())
    print(f"{seconds} s of {site.name} in {spent_s:.1f} s: {seconds / spent_s:.0f} times real time")
    print(f"one cycle of the core: median {p50:.2f} ms, 99 % below {p99:.2f} ms, worst {1e3 * ordered[-1]:.2f} ms")
    print(f"longest total time of a true limit exceeded: {over_s:.0f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
