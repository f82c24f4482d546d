"""A recorded stretch of a bad day can be thought again: to the last bit, in another process, from the middle."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from loop_kit import SITES
from replay_kit import CHECKPOINT, CYCLES, POLICY, cycles_of_a_bad_day, identical, replayed, without_states, written

from controller.recording.command import replay_command
from controller.recording.format import Cycle
from controller.recording.reader import NoRecording, read
from controller.recording.replay import Change, from_second
from controller.recording.writer import Policy, Writer


@pytest.fixture(scope="module")
def cycles() -> list[Cycle]:
    return cycles_of_a_bad_day()


@pytest.fixture(scope="module")
def recording(cycles: list[Cycle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("recorded") / "day.jsonl.gz", cycles)


def gridedge_replay(*arguments: str) -> Result:
    return CliRunner().invoke(replay_command, arguments)


def lines_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def rewritten(path: Path, lines: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    return path


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_comes_to_the_same_last_bit(recording: Path, hash_seed: str) -> None:
    """Whatever order that process gives to its sets, and with a fault in every stretch."""
    done = subprocess.run(
        [sys.executable, "-c", "from controller.recording.command import replay_command as r; r()", str(recording)],
        env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"{CYCLES} cycles, identical" in done.stdout, done.stdout + done.stderr
    assert "note" not in done.stdout
    assert done.returncode == 0


def test_the_bad_day_is_one(cycles: list[Cycle]) -> None:
    """Else the rest of this file would show nothing."""
    events = {event.name for cycle in cycles for event in cycle.record.events}
    assert {"limit.unseen", "limit.bound"} <= events
    assert any(cycle.record.given_up_w > 0.0 for cycle in cycles)


def test_replay_begins_in_the_middle(recording: Path) -> None:
    """The memory comes from the file: what is thought is what the loop thought after all that had been before."""
    late, notes = replayed(recording, through=lambda items: from_second(items, 100.0))
    assert late[0].now_s == 2 * CHECKPOINT
    assert identical(late)
    assert notes == []
    result = gridedge_replay(str(recording), "--from", "100", "--to", "104.5")
    assert "5 cycles, identical" in result.output


@pytest.mark.parametrize(
    ("first", "last"), [("00:01:40", "00:01:44"), ("2026-01-01T00:01:40", "2026-01-01T02:01:44+02:00")]
)
def test_replay_begins_and_ends_at_a_time_of_day(recording: Path, first: str, last: str) -> None:
    """The day of the test begins at midnight, UTC."""
    result = gridedge_replay(str(recording), "--from", first, "--to", last)
    assert "5 cycles, identical" in result.output
    assert (
        "cycle 100 at 100.0 s (2026-01-01 00:01:40)"
        in gridedge_replay(str(recording), "--from", first, "--to", last, "--tuning", "pool_frac=0.03").output
    )


def test_a_changed_value_is_found_and_named(recording: Path, tmp_path: Path) -> None:
    lines = lines_of(recording)
    changed = next(x for x in lines[30:] if "0" in x.get("cycle", {}).get("r", {}).get("setpoints", {}))
    changed["cycle"]["r"]["setpoints"]["0"]["p_w"] = [-1234567.0]
    result = gridedge_replay(str(rewritten(tmp_path / "changed.jsonl.gz", lines)))
    assert result.exit_code == 1
    assert "unit WIND1 set point P: recorded -1.235 MW, recomputed" in result.output


def test_a_changed_reading_is_found_by_what_follows_from_it(recording: Path, tmp_path: Path) -> None:
    lines = lines_of(recording)
    at = next(k for k, x in enumerate(lines) if k > 20 and "branch.T2.i_a" in str(x.get("cycle", {}).get("s")))
    lines[at]["cycle"]["s"]["points"]["branch.T2.i_a"]["0"] = [450.0]
    cycles, _ = replayed(rewritten(tmp_path / "changed.jsonl.gz", lines))
    first = next(cycle for cycle in cycles if cycle.differences)
    assert any("T2" in d.text for d in first.differences)


def test_a_changed_site_in_the_header_is_refused(recording: Path, tmp_path: Path) -> None:
    lines = lines_of(recording)
    lines[0]["header"]["site"]["limits"][0]["high"] *= 1.1
    result = gridedge_replay(str(rewritten(tmp_path / "changed.jsonl.gz", lines)))
    assert result.exit_code == 1
    assert "does not match its fingerprint" in result.output


@pytest.mark.parametrize("cut_bytes", [1, 9, 4000])
def test_a_torn_tail_is_told_and_what_is_before_it_used(recording: Path, tmp_path: Path, cut_bytes: int) -> None:
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(recording.read_bytes()[:-cut_bytes])
    cycles, notes = replayed(torn)
    assert identical(cycles)
    assert CYCLES - 40 <= len(cycles) <= CYCLES
    assert len(notes) == 1
    assert "torn (the writer was cut off)" in notes[0]


def test_after_a_cut_off_writer_the_next_one_goes_on_in_the_same_file(cycles: list[Cycle], tmp_path: Path) -> None:
    """As when the power fails and comes back: the file is torn in the middle and nothing before or after is lost."""
    first = written(tmp_path / "first.jsonl.gz", cycles[:60])
    second = written(tmp_path / "second.jsonl.gz", cycles[60:])
    first.write_bytes(first.read_bytes()[:-20] + second.read_bytes())
    again, notes = replayed(first)
    assert identical(again)
    assert len(again) >= CYCLES - 20
    assert again[-1].now_s == cycles[-1].snapshot.now_s
    assert len(notes) == 1


def test_damage_in_the_middle_costs_what_lies_before_the_next_state(recording: Path, tmp_path: Path) -> None:
    data = bytearray(recording.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    damaged = tmp_path / "damaged.jsonl.gz"
    damaged.write_bytes(data)
    cycles, notes = replayed(damaged)
    assert any("damaged" in note for note in notes)
    assert CYCLES - CHECKPOINT <= len(cycles) <= CYCLES
    assert identical(cycles[-CHECKPOINT // 2 :])


def test_dropped_cycles_are_a_gap_and_replay_goes_on_from_the_state_after_it(
    cycles: list[Cycle], tmp_path: Path
) -> None:
    """Cycles 50 to 59 never came; those up to the next one that carries a state are left out too."""
    writer = Writer(tmp_path / "gap.jsonl.gz", POLICY)
    given = [cycles[0], *without_states(cycles[1:50]), *without_states(cycles[60:63]), *cycles[63:]]
    taken = [writer.write(cycle) for cycle in given]
    writer.close()
    assert taken.count(False) == 3
    again, notes = replayed(tmp_path / "gap.jsonl.gz")
    assert identical(again)
    assert len(again) == CYCLES - 13
    assert notes == ["13 cycles were not recorded"]


def test_other_numbers_of_the_law_show_what_they_would_have_changed(recording: Path) -> None:
    result = gridedge_replay(str(recording), "--tuning", "pool_frac=0.02", "--show", "1")
    assert result.exit_code == 1
    assert "set point P: recorded" in result.output
    assert f"{CYCLES} cycles, " in result.output
    assert "differ (something was changed on purpose)" in result.output
    recorded = lines_of(recording)[0]["header"]["tuning"]["pool_frac"]
    assert "identical" in gridedge_replay(str(recording), "--tuning", f"pool_frac={recorded!r}").output


def test_another_site_file_shows_what_it_would_have_changed(recording: Path) -> None:
    same_file = gridedge_replay(str(recording), "--site", str(SITES / "demo_primary.yaml"))
    assert "identical" in same_file.output
    different = gridedge_replay(str(recording), "--site", "secondary_rooftop")
    assert different.exit_code == 1
    assert "begins with an empty memory" in different.output


def test_a_folder_is_replayed_file_after_file_with_the_memory_of_the_one_before(
    cycles: list[Cycle], tmp_path: Path
) -> None:
    folder = written(tmp_path / "folder", cycles, Policy(checkpoint_cycles=CHECKPOINT, file_bytes_max=20_000))
    files = sorted(folder.iterdir())
    assert len(files) > 2
    again, notes = replayed(folder)
    assert (len(again), notes) == (CYCLES, [])
    assert identical(again)
    alone, _ = replayed(files[1])
    assert identical(alone)
    files[1].unlink()
    rest, _ = replayed(folder)
    assert identical(rest)


def test_explaining_says_who_gave_up_how_much_for_which_limit_in_whose_turn(recording: Path) -> None:
    result = gridedge_replay(str(recording), "--explain")
    assert result.exit_code == 0, result.output
    assert "limit T1.thermal binds: " in result.output
    assert "for T1.thermal, merit rank 1" in result.output
    assert "event limit.unseen T1.thermal" in result.output
    assert "T1.thermal: " in result.output.split("in all:")[1]


def test_explaining_one_unit_is_silent_about_the_others(recording: Path) -> None:
    result = gridedge_replay(str(recording), "--explain", "PVB")
    told = [line for line in result.output.split("in all:")[0].splitlines() if line.startswith("  unit ")]
    assert told
    assert all(line.startswith("  unit PVB") for line in told)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--from", "noon"), "--from is 'noon'; expected site seconds, HH:MM"),
        (("--to", "nan"), "--to is 'nan'; expected site seconds, HH:MM"),
        (("--from", "12:00"), "no cycle to replay"),
        (("--from", "100000"), "no cycle to replay"),
        (("--tuning", "pool=1"), "no number 'pool'; expected one of"),
        (("--tuning", "pool_frac=much"), "'much' is no number"),
        (("--tuning", "pool_frac=nan"), "expected a finite number"),
        (("--site", "nowhere"), "no site file 'nowhere'"),
    ],
)
def test_a_mistaken_command_line_is_answered_in_one_line(
    recording: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    result = gridedge_replay(str(recording), *arguments)
    assert result.exit_code == 1
    assert complaint in result.output
    assert "Traceback" not in result.output


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoRecording, match="holds no recording"):
        list(read(tmp_path / "empty"))
    with pytest.raises(NoRecording, match=r"no recording .*; expected a file"):
        list(read(tmp_path / "nowhere.jsonl.gz"))
    plain = rewritten(tmp_path / "other.jsonl.gz", [{"is": "state", "state": {}}])
    with pytest.raises(NoRecording, match="does not begin with a header"):
        list(read(plain))


def test_a_memory_of_another_version_is_refused_where_it_is_needed(recording: Path, tmp_path: Path) -> None:
    """From the first cycle on nothing is needed: the empty memory is the same for every version."""
    lines = lines_of(recording)
    for line in lines:
        if line["is"] == "state":
            line["state"]["mood"] = 1.0
    other = rewritten(tmp_path / "other.jsonl.gz", lines)
    result = gridedge_replay(str(other), "--from", "100")
    assert result.exit_code == 1
    assert "state has mood; this version does not know them" in result.output
    assert f"{CYCLES} cycles, identical" in gridedge_replay(str(other)).output


def test_a_memory_that_comes_out_otherwise_is_told(cycles: list[Cycle], tmp_path: Path) -> None:
    """The cycles before it were right, so the recorded memory is what is wrong: every later cycle still fits ours."""
    state = cycles[CHECKPOINT].state
    assert state is not None
    wrong = replace(cycles[CHECKPOINT], state=replace(state, ready_since_s=1.25))
    path = written(tmp_path / "wrong.jsonl.gz", [*cycles[:CHECKPOINT], wrong, *cycles[CHECKPOINT + 1 :]])
    again, notes = replayed(path, Change())
    assert identical(again)
    assert "the memory differs from the recorded one before cycle 40: ready_since_s" in notes[0]
