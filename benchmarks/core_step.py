"""How long the control core thinks: one step of synthetic sites from 5 to 200 units with twice as many limits.

    python benchmarks/core_step.py                      # all sizes, a table
    python benchmarks/core_step.py --sizes 20,200 --cycles 300 --json
    python benchmarks/core_step.py --fifo               # SCHED_FIFO: a core to itself, whatever else runs (root)

A seeded plant moves weather and demand around the ratings of the network, so that every cycle has limits to keep; the
core's set points close the loop. Every branch, bus and unit is metered, the most that an estimator can have to do, and
one reading in a hundred is missing, another one in every cycle. Only the core is timed: by the wall clock, and by the
CPU time of the thread, which tells what the machine's other work added. What the record tells of limits and units is
made when somebody reads it, which in service happens after the commands have gone out: ``told`` is the time that it
takes to read all of it into a plain form, and is not in the total. The collector is frozen and freed memory kept,
as in service.

One thread of linear algebra, as in every gridedge process; OPENBLAS_NUM_THREADS=2 shows what a second one does.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np
from fleet.plant import FleetPlant
from fleet.site import build_site

from controller.control import cycle, decision
from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.record import CycleRecord
from controller.runtime.memory import keep_freed_memory

SIZES = (5, 20, 50, 100, 200)
WARM_UP = 30  # cycles before the stopwatch counts: caches, the first linearisation
SHOWN = ("total", "estimate", "limits", "dispatch", "record", "other", "cpu", "told")
Json = dict[str, Any]


class Stopwatch:
    """Adds up the time of the core's stages, by wrapping them where the cycle calls them."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}

    def wrap(self, owner: object, name: str, stage: str) -> None:
        """Count the calls of ``owner.name`` for ``stage``."""
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **named)
            finally:
                self.spent_s[stage] = self.spent_s.get(stage, 0.0) + time.perf_counter() - began

        setattr(owner, name, timed)

    def take(self) -> dict[str, float]:
        """What was counted since the last time, s."""
        out, self.spent_s = self.spent_s, {}
        return out


def measure(n_unit: int, cycles: int, seed: int) -> Json:
    """Percentiles of every stage for one size, ms."""
    site = build_site(n_unit, seed)
    plant, state, watch = FleetPlant(site, seed), initial_state(site), Stopwatch()
    plain = decision.dispatch, cycle.build_record
    watch.wrap(state.engine.estimator, "update", "estimate")
    watch.wrap(state.engine, "rows", "limits")
    watch.wrap(state.engine, "readings", "limits")
    watch.wrap(decision, "dispatch", "dispatch")
    watch.wrap(cycle, "build_record", "record")
    gc.collect()
    gc.freeze()
    keep_freed_memory()
    rows: list[dict[str, float]] = []
    binding = 0
    for k in range(WARM_UP + cycles):
        snapshot = plant.snapshot()
        wall, cpu = time.perf_counter(), time.thread_time()
        state, record = step(site, state, snapshot)
        total, used = time.perf_counter() - wall, time.thread_time() - cpu
        stages, began = watch.take(), time.perf_counter()
        record.to_dict()
        told = time.perf_counter() - began
        if k >= WARM_UP:
            rows.append({**stages, "total": total, "cpu": used, "other": total - sum(stages.values()), "told": told})
            binding += _bound(record)
        plant.obey(record)
        plant.step()
    decision.dispatch, cycle.build_record = plain
    gc.unfreeze()
    return {
        "units": n_unit,
        "limits": len(site.limits),
        "buses": len(site.topology.buses),
        "binding_per_cycle": round(binding / cycles, 2),
        "ms": {name: _spread([1e3 * r.get(name, 0.0) for r in rows]) for name in SHOWN},
    }


def _bound(record: CycleRecord) -> int:
    return sum(x.binding for x in record.limits)


def _spread(ms: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(ms, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(max(ms), 3)}


def growth(results: list[Json]) -> dict[str, float]:
    """Exponent k of cost ~ units^k per stage: least squares in the logarithms, medians of the sizes from 20 on."""
    large = [r for r in results if r["units"] >= 20]
    if len(large) < 2:
        return {}
    units = np.log([r["units"] for r in large])
    slopes = {}
    for name in SHOWN:
        ms = np.log([max(r["ms"][name]["p50"], 1e-3) for r in large])
        slopes[name] = round(float(np.polyfit(units, ms, 1)[0]), 2)
    return slopes


def _print(report: Json) -> None:
    print(
        f"BLAS threads: {report['blas_threads']}, {report['cycles']} cycles, seed {report['seed']}; p50 / p99 / max ms"
    )
    for r in report["sites"]:
        print(f"{r['units']} units, {r['limits']} limits, {r['buses']} buses, {r['binding_per_cycle']} limits bind")
        for name in SHOWN:
            ms = r["ms"][name]
            print(f"  {name:9} {ms['p50']:8.2f} {ms['p99']:8.2f} {ms['max']:8.2f}")
    if report["growth"]:
        print("cost ~ units^k:", ", ".join(f"{name} {k}" for name, k in report["growth"].items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One step of the control core against the size of the site.")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of units")
    parser.add_argument("--cycles", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fifo", action="store_true", help="run under SCHED_FIFO, undisturbed by other work")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    args = parser.parse_args()
    if args.fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
    sites = [measure(int(n), args.cycles, args.seed) for n in args.sizes.split(",")]
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    report = {"blas_threads": threads, "cycles": args.cycles, "seed": args.seed, "sites": sites}
    report["growth"] = growth(sites)
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        _print(report)


if __name__ == "__main__":
    main()
