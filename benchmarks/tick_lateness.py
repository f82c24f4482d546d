"""How late the ticks of the control process are: a 10 ms period on its event loop, alone and beside a spinning process.

Each case is a process of its own on one core, ticking as the fast loop does and otherwise idle. "Normal" is the
system's ordinary scheduling; under "FIFO" the process has asked for real-time scheduling as `gridedge run --real-time`
does. asyncio's own loop is shown for comparison. On a shared machine the normal figures are those of its load.

    python benchmarks/tick_lateness.py            needs root, or RLIMIT_RTPRIO, for FIFO
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
from pathlib import Path

from controller.clock import SystemClock
from controller.runtime.event_loop import precise_loop
from controller.runtime.realtime import come_first
from controller.runtime.ticks import Ticks

ROOT = Path(__file__).parents[1]
PERIOD_S, PRIORITY = 0.01, 40
CORE = max(os.sched_getaffinity(0))
LOOPS = {"asyncio": asyncio.new_event_loop, "ours": precise_loop}
SPIN = "while True: pass"


async def tick(seconds: float) -> tuple[list[float], int]:
    """Milliseconds that each tick came late, and how many were missed."""
    clock, late_ms = SystemClock(), []
    ticks = Ticks(clock.now_s() + PERIOD_S, PERIOD_S)
    while ticks.due_s < seconds:
        await asyncio.sleep(clock.real_s(ticks.due_s - clock.now_s()))
        late_ms.append(1e3 * (clock.now_s() - ticks.due_s))
        ticks.done(clock.now_s())
    return late_ms, ticks.missed


def measure(loop: str, scheduling: str, seconds: float) -> None:
    """One case in this process; prints its figures."""
    os.sched_setaffinity(0, {CORE})
    if scheduling == "FIFO":
        refused = [reason for reason in come_first(PRIORITY) if "SCHED_FIFO" in reason]
        if refused:
            raise SystemExit(refused[0])
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        late_ms, missed = runner.run(tick(seconds))
    cuts = statistics.quantiles(late_ms, n=100)
    print(f"p50 {cuts[49]:6.3f}  p99 {cuts[98]:6.3f}  max {max(late_ms):6.3f} ms, {missed} of {len(late_ms)} missed")


def main() -> None:
    """Every case after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--case", nargs=2)
    options = parser.parse_args()
    if options.case:
        measure(*options.case, options.seconds)
        return
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for spinning in (False, True):
        other = subprocess.Popen(["taskset", "-c", str(CORE), sys.executable, "-c", SPIN]) if spinning else None
        try:
            for loop in LOOPS:
                for scheduling in ("normal", "FIFO"):
                    command = [sys.executable, __file__, "--seconds", str(options.seconds), "--case", loop, scheduling]
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                    beside = "beside a spinning process" if spinning else "alone"
                    print(f"{loop:8s} {scheduling:7s} {beside:26s} {done.stdout.strip() or done.stderr.strip()}")
        finally:
            if other is not None:
                other.kill()
                other.wait()


if __name__ == "__main__":
    main()
