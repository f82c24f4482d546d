"""A recording that is whole and that nobody of ours has written: what is wrong is said, and no traceback shown."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.snapshot import Snapshot
from controller.recording.command import replay_command
from controller.recording.format import Cycle
from controller.recording.writer import Policy, Writer
from controller.report.command import report

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """Header, state and six cycles, a checkpoint in the middle."""
    path = tmp_path_factory.mktemp("recording") / "a.jsonl.gz"
    site = load_site(find_site("secondary_rooftop"))
    writer, state = Writer(path, Policy(checkpoint_cycles=3)), initial_state(site)
    for k in range(6):
        snapshot = Snapshot(float(k), {}, 1.78e9 + k)
        after, record = step(site, state, snapshot)
        writer.write(Cycle(state, snapshot, record))
        state = after
    writer.close()
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def changed(at: int, key: str, value: object) -> Callable[[Lines], bytes]:
    """The recording with another content of one line; ``key`` empty: of the whole line."""

    def change(lines: Lines) -> bytes:
        copy = json.loads(json.dumps(lines))
        where = copy[at]
        *above, last = [copy[at]["is"], *key.split(".")] if key else [copy[at]["is"]]
        for name in above:
            where = where[name]
        where[last] = value
        return written(copy)

    return change


def raw(at: int, line: bytes) -> Callable[[Lines], bytes]:
    """The recording with another line in this place, byte by byte."""
    return lambda lines: written(lines[:at]) + line + b"\n" + written(lines[at + 1 :])


def written(lines: Lines) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


DAMAGE = "note: a.jsonl.gz: damaged (a line is not JSON)"
ROWS = [
    ("a patch that is a number", changed(3, "s", 7), "a patch is 7; expected a list of one value, or an object"),
    ("a patch below a text", changed(3, "r", {"mode": {"x": [1]}}), "a patch leads below 'boot'"),
    ("a cycle that is a list", changed(3, "", [1]), "holds a line 'cycle' with [1]; this version knows"),
    ("a state that is text", changed(1, "", "s"), "holds a line 'state' with 's'; this version knows"),
    (
        "memories that are a list",
        lambda x: changed(1, "reasons", [])([x[0], *x[5:]]),
        "state.reasons is []; expected an object",
    ),
    ("a gap of text", lambda x: written([x[0], {"is": "gap", "gap": {"lost": "x"}}]), "a gap has lost 'x' cycles"),
    ("a gap below zero", lambda x: written([x[0], {"is": "gap", "gap": {"lost": -1}}]), "a gap has lost -1 cycles"),
    (
        "a snapshot without rest",
        changed(2, "s", [{"points": {}, "times": []}]),
        "expected an object with times, points",
    ),
    (
        "a record of no time",
        changed(2, "r", [{"now_s": "x"}]),
        "its record is of 'x' s; expected an object whose now_s",
    ),
    ("a record of all time", raw(2, b'{"is":"cycle","cycle":{"s":[{"rest":{}}],"r":[{"now_s":1e999}]}}'), "of inf s"),
    ("a number beyond 64 bits", raw(2, b'{"is":"cycle","cycle":{"s":[9' + b"9" * 400 + b"]}}"), DAMAGE),
    ("a number that is none", raw(2, b'{"is":"cycle","cycle":NaN}'), DAMAGE),
    ("a hundred thousand levels", raw(2, b"[" * 100_000), DAMAGE),
    ("a line without end", lambda _: b" " * (40 << 20), "damaged (a line of more than 33554432 bytes)"),
    ("another format", changed(0, "format", "x"), "format of the recording is 'x'; this version reads 1"),
    ("nothing", lambda _: b"", "no cycle to replay"),
]


@pytest.mark.parametrize(("change", "says"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_wrong_with_it_is_said(
    lines: Lines, change: Callable[[Lines], bytes], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(change(lines), 1))
    found = CliRunner().invoke(replay_command, [str(path)])
    assert isinstance(found.exception, SystemExit | None), found.exception
    assert says in found.output, found.output
    told = CliRunner().invoke(report, ["--record", str(path)])
    assert isinstance(told.exception, SystemExit | None), told.exception
