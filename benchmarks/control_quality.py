"""How well the control core controls: network courses through the public judge, compared with their optima.

    python benchmarks/control_quality.py                         every short course, noise seed 1
    python benchmarks/control_quality.py --courses all --seeds 1,2,3 --jobs 2
    python benchmarks/control_quality.py --courses lv-clouds-1,twin-step --exec "gridedge cosim"
    python benchmarks/control_quality.py --courses lv-clouds-1 --late units=2    units' telemetry late without saying so
    python benchmarks/control_quality.py --courses lv-taps --explain      which unit and which broken limit cost what
    python benchmarks/control_quality.py --courses varied-7,varied-8      any seed; its optimum: python -m courses

A course is looked for in ``--folder`` (written there first when it is in the catalogue and missing), then beside the
judge. The judge's plant and scoring are imported from ``--judge``; without them nothing can be measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from courses.catalogue import CATALOGUE, build, known
from courses.late import Late
from courses.optima import stored
from law.explain import Bill

from controller.cosim import Session

DEFAULT_JUDGE = Path(__file__).resolve().parents[2] / "shared" / "control-judge"
SHORT_S = 1800.0
BOOT_S = 60.0  # violations before this are the world's, not the controller's
Json = dict[str, Any]


class InProcess:
    """The core called as a function."""

    def __init__(self) -> None:
        self._session = Session()

    def reset(self, public: Json) -> None:
        """Tell the core what it is told before the first measurement."""
        self._session.handle({"type": "reset", **public})

    def step(self, observation: Json) -> Json:
        """Set points after one measurement."""
        answer = self._session.handle({"type": "measurement", **observation})
        return {} if answer is None else answer["setpoints"]

    def close(self) -> None:
        """Nothing to end."""


class Process:
    """Any program that speaks JSON lines."""

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def _send(self, message: Json) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def reset(self, public: Json) -> None:
        """Tell the program what it is told before the first measurement."""
        self._send({"type": "reset", **public})

    def step(self, observation: Json) -> Json:
        """Set points after one measurement. Raises RuntimeError when the program has ended."""
        self._send({"type": "measurement", **observation})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the controller process ended with {self._process.wait()}")
        return json.loads(line).get("setpoints") or {}

    def close(self) -> None:
        """Ask it to end, and wait."""
        self._send({"type": "end"})
        self._process.wait(10.0)


@dataclass(frozen=True, slots=True)
class Job:
    """One course with one noise seed."""

    folder: Path
    seed: int
    command: str | None
    judge: Path
    keep: Path | None = None
    late: str | None = None
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one job; ``optimum`` is empty when none is known."""

    course: str
    seed: int
    report: Json
    optimum: Json
    out_of_v_s: float
    told: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """J over the optimum's J."""
        best = self.optimum.get("J_eur", 0.0)
        return self.report["J_eur"] / best if best > 0 else float("nan")

    @property
    def curtailed_pct(self) -> float:
        """Curtailed energy above the optimum's, %."""
        best = self.optimum.get("curtailed_mwh", 0.0)
        return 100.0 * (self.report["curtailed_mwh"] / best - 1.0) if best > 1e-9 else float("nan")


def run_job(job: Job) -> Result:
    """Run one course to its end."""
    if str(job.judge) not in sys.path:
        sys.path.insert(0, str(job.judge))
    plant = importlib.import_module("plant")
    scenario = plant.Scenario(str(job.folder))
    controller = Process(job.command) if job.command else InProcess()
    bill = Bill(scenario)
    report, out_of_v_s, trace = _drive(plant, scenario, controller, job, bill)
    controller.close()
    if job.keep is not None:
        job.keep.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(job.keep / f"{scenario.name}-{job.seed}.npz", **trace)
    best = optimum_of(job.folder)
    told = tuple(bill.lines(report, best)) if job.explain else ()
    return Result(scenario.name, job.seed, report, best, out_of_v_s, told)


def _drive(plant: Any, scenario: Any, controller: Any, job: Job, bill: Bill) -> tuple[Json, float, Json]:
    """The judge's own loop, with violations split at the boot minute and, if wanted, a trace at the control period."""
    world, late = plant.Plant(scenario, job.seed), Late.of(job.late)
    controller.reset(plant.public_view(scenario))
    per = round(scenario.cfg["control_period_s"] / world.dt)
    spent: list[float] = []
    out_of_v_s = 0.0
    rows: list[Json] = []
    for k in range(world.n_steps):
        if k % per == 0:
            observation = world.observe() if late is None else late.observe(world)
            started = time.perf_counter()
            setpoints = controller.step(observation)
            spent.append(time.perf_counter() - started)
            world.command(setpoints)
            if job.keep is not None:
                rows.append(_row(world))
        world.step()
        if late is not None:
            late.remember(world)
        bill.look(world)
        out = np.maximum(world.v - scenario.v_max, scenario.v_min - world.v).max() > 0.0
        out_of_v_s += world.dt if out and world.t > BOOT_S else 0.0
    report = world.acc.report()
    report["ms"] = 1e3 * float(np.mean(spent))
    return report, out_of_v_s, {k: np.array([r[k] for r in rows]) for k in (rows[0] if rows else ())}


def _row(world: Any) -> Json:
    """True state at one instant, for looking at what went wrong."""
    return {
        "t_s": world.t,
        "v_pu": world.v.copy(),
        "loading": world.i / world.sc.i_max,
        "p_w": world.p.copy(),
        "q_var": world.q.copy(),
        "avail_w": world.av * world.sc.sgn,
        "set_p_w": world.cmd_p * world.sc.sgn,
        "set_q_var": world.cmd_q.copy(),
        "interface_q_var": world.qi,
        "interface_p_w": world.pi,
        "energy_wh": world.e.copy(),
        "kvah": world.acc.kvah,
        "pu_s": world.acc.pus,
    }


def optimum_of(folder: Path) -> Json:
    """The stored optimum of a course, or {}: our own for this content, else the one in ``reference.json`` beside it."""
    own, shared = stored(folder), folder.parent / "reference.json"
    if not own and shared.exists():
        own = json.loads(shared.read_text()).get(folder.name, {}).get("optimum", {})
    return dict(own)


COLUMNS = (
    f"{'course':16} {'seed':>4} {'J EUR':>9} {'J/opt':>6} {'cost':>8} {'over':>7} {'volt':>7} {'Q':>7} "
    f"{'curt MWh':>9} {'vs opt':>7} {'>101% s':>8} {'V out s':>8} {'ms':>5}  clear s"
)


def line(result: Result) -> str:
    """One row of the table."""
    r = result.report
    weights = {"over": r["overload_kvah"] * 2.0, "volt": r["voltage_pu_s"] * 20.0}
    clear = " / ".join("never" if e["t_cleared_s"] is None else f"{e['t_cleared_s']:.1f}" for e in r.get("events", ()))
    return (
        f"{result.course:16} {result.seed:4d} {r['J_eur']:9.2f} {result.ratio:6.2f} "
        f"{r['cost_eur'] - r['q_request_eur']:8.2f} {weights['over']:7.2f} {weights['volt']:7.2f} "
        f"{r['q_request_eur']:7.2f} {r['curtailed_mwh']:9.4f} {result.curtailed_pct:+6.0f}% "
        f"{r['thermal_viol_s']['1.01']:8.1f} {result.out_of_v_s:8.1f} {r['ms']:5.2f}  {clear}"
    )


def summary(results: Iterable[Result]) -> list[str]:
    """Mean and worst over the seeds of every course."""
    by_course: dict[str, list[Result]] = {}
    for r in results:
        by_course.setdefault(r.course, []).append(r)
    out = [f"{'course':16} {'J/opt mean':>10} {'worst':>6} {'curtailed mean':>14} {'worst':>6} {'>101% s worst':>13}"]
    for name, rs in by_course.items():
        ratio, energy = [r.ratio for r in rs], [r.curtailed_pct for r in rs]
        over = max(r.report["thermal_viol_s"]["1.01"] for r in rs)
        shares = f"{np.mean(ratio):10.2f} {max(ratio):6.2f} {np.mean(energy):+13.0f}% {max(energy):+5.0f}%"
        out.append(f"{name:16} {shares} {over:13.1f}")
    every = [r.ratio for rs in by_course.values() for r in rs if np.isfinite(r.ratio)]
    if every:
        out.append(f"all: J/optimum geometric mean {np.exp(np.mean(np.log(every))):.3f}, worst {max(every):.2f}")
    return out


def find(name: str, folder: Path, judge: Path) -> Path:
    """Directory of a course, written first when the catalogue has it. Raises FileNotFoundError."""
    for base in (folder, judge.parent / "control-scenarios"):
        if (base / name / "scenario.json").exists():
            return base / name
    if known(name):
        return build(name).write(folder)
    raise FileNotFoundError(f"no course {name!r} in {folder}, beside {judge}, or in the catalogue")


def chosen(text: str | None, folder: Path, judge: Path) -> list[Path]:
    """Course directories that ``--courses`` asks for: names, beginnings of names, ``all``, or by default the short."""
    public = [p.parent.name for p in sorted(judge.parent.glob("control-scenarios/*/scenario.json"))]
    names = [*public, *CATALOGUE]
    if text not in (None, "all"):
        wanted = str(text).split(",")
        picked = [n for n in names if any(n == w or n.startswith(w) for w in wanted)]
        names = picked + [w for w in wanted if not any(n.startswith(w) for n in picked)]
    paths = [find(n, folder, judge) for n in names]
    if text is None:
        paths = [p for p in paths if json.loads((p / "scenario.json").read_text())["duration_s"] <= SHORT_S]
    return paths


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="Control quality on network courses.")
    parser.add_argument(
        "--courses", help="names or beginnings of names, comma separated, or 'all'; default: short ones"
    )
    parser.add_argument("--seeds", default="1", help="noise seeds, comma separated")
    parser.add_argument("--judge", type=Path, help="directory of plant.py")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parents[1] / "out" / "courses")
    parser.add_argument(
        "--exec", dest="command", help="run this program over JSON lines instead of the core in-process"
    )
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="processes")
    parser.add_argument("--late", help="deliver points that many seconds late without saying so: units=2, der.PV1.=5")
    parser.add_argument("--trace", type=Path, help="write true states to this folder as NAME-SEED.npz")
    parser.add_argument("--explain", action="store_true", help="where the cost above the optimum comes from")
    args = parser.parse_args()
    judge = args.judge or DEFAULT_JUDGE
    if not (judge / "plant.py").exists():
        print(f"control quality not measured: no judge (plant.py) in {judge}; give its place with --judge")
        return 2 if args.judge else 0
    seeds = [int(s) for s in args.seeds.split(",")]
    paths = chosen(args.courses, args.folder, judge)
    jobs = [Job(p, s, args.command, judge, args.trace, args.late, args.explain) for p in paths for s in seeds]
    print(COLUMNS, flush=True)
    results: list[Result] = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for result in pool.map(run_job, jobs):
            results.append(result)
            print("\n".join([line(result), *result.told]), flush=True)
    print("\n".join(["", *summary(results)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
