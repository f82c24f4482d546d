"""The lines of a recording: one JSON object each, in gzip members that each begin at a line.

``header`` says for which site, tuning, version and machine; ``state`` is the loop's memory before the next cycle, from
which replay can begin; ``cycle`` holds a snapshot and the record that came out, as patches on the cycle before (whole
after a header or a state); ``gap`` says how many cycles are missing before the state that follows it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from controller.control.engine import Engine
from controller.control.state import ControlState
from controller.control.tuning import Tuning
from controller.documents import shown
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.recording.codec import CodecError, Tree, from_tree, to_tree

FORMAT = 1
HEADER, STATE, CYCLE, GAP = "header", "state", "cycle", "gap"
_LIBRARIES = ("numpy", "power-grid-model", "daqp")


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording was made of. ``utc`` is the label of ``now_s``, the first cycle after it; empty when unknown.

    ``machine`` names what decides how numbers round: processor and libraries.
    """

    format: int
    gridedge: str
    machine: Mapping[str, str]
    utc: str
    now_s: float
    site_sha256: str
    site: Site
    tuning: Tuning


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle of the fast loop: the memory before it, where it is wanted, what it saw, what it said."""

    state: ControlState | None
    snapshot: Snapshot
    record: CycleRecord


def header_of(engine: Engine, now_s: float, utc: str) -> Header:
    """The header of a recording that begins at ``now_s``."""
    digest = site_sha256(engine.site)
    return Header(FORMAT, _version("gridedge"), this_machine(), utc, now_s, digest, engine.site, engine.tuning)


def site_sha256(site: Site) -> str:
    """Fingerprint of everything that the site file says."""
    return hashlib.sha256(json.dumps(to_tree(site), sort_keys=True).encode()).hexdigest()


def this_machine() -> dict[str, str]:
    """Processor and numeric libraries: where they differ, last digits may."""
    return {"processor": _processor(), "python": platform.python_version()} | {
        name: _version(name) for name in _LIBRARIES
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "CPU part"))]
    except OSError:
        names = []
    return f"{platform.machine()} {names[0]}" if names else platform.machine()


def header_from_tree(tree: Mapping[str, Any]) -> Header:
    """The header in a line. Raises CodecError when another version's is not understood."""
    if tree.get("format") != FORMAT:
        raise CodecError(f"format of the recording is {tree.get('format')!r}; this version reads {FORMAT}")
    made: Header = from_tree(Header, tree)
    if site_sha256(made.site) != made.site_sha256:
        raise CodecError("the site in the recording does not match its fingerprint; the file was changed")
    return made


def state_to_tree(state: ControlState) -> Tree:
    """The loop's memory; the engine is left out, it follows from site and tuning."""
    return to_tree(state, leave_out=(Engine,))


def state_from_tree(tree: Tree, engine: Engine) -> ControlState:
    """The memory again, on ``engine``. Raises CodecError when this version's memory holds something else."""
    made: ControlState = from_tree(ControlState, {**tree, "reasons": {}}, given={Engine: engine}, where="state")
    kinds = {reason.key: reason.memory_type for reason in engine.reasons}
    recorded = tree.get("reasons", {})
    if not isinstance(recorded, dict):
        raise CodecError(f"state.reasons is {shown(recorded)}; expected an object")
    memories = {k: from_tree(kinds[k], x, where=f"state.reasons.{k}") for k, x in recorded.items() if k in kinds}
    return replace(made, reasons=memories)


def snapshot_to_tree(snapshot: Snapshot) -> Tree:
    """A snapshot with every pair of times written once: the points of a device share them."""
    times: dict[tuple[float, float], int] = {}
    points = {}
    for name, m in snapshot.points.items():
        at = times.setdefault((m.measured_at_s, m.received_at_s), len(times))
        points[name] = [to_tree(m.value), int(m.quality), at, m.reason]
    rest = {f.name: to_tree(getattr(snapshot, f.name)) for f in fields(snapshot) if f.name != "points"}
    return {"times": [[to_tree(a), to_tree(b)] for a, b in times], "points": points, "rest": rest}


def snapshot_from_tree(tree: Tree) -> Snapshot:
    """The snapshot again. Raises CodecError naming the point."""
    try:
        times = [(from_tree(float, a), from_tree(float, b)) for a, b in tree["times"]]
        points = {name: _measurement(name, item, times) for name, item in tree["points"].items()}
        rest = dict(tree["rest"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CodecError(f"snapshot: {type(error).__name__}: {error}") from error
    bare: Snapshot = from_tree(Snapshot, rest | {"points": {}}, where="snapshot")
    return Snapshot(**{f.name: getattr(bare, f.name) for f in fields(bare) if f.name != "points"}, points=points)


def _measurement(name: str, item: Tree, times: list[tuple[float, float]]) -> Measurement:
    value, quality, at, reason = item
    if not 0 <= at < len(times):
        raise CodecError(f"point {name} refers to time {at} of {len(times)}")
    measured_at_s, received_at_s = times[at]
    number = from_tree(float, value, where=name)
    return Measurement(number, Quality(quality), measured_at_s, received_at_s, from_tree(str, reason))
