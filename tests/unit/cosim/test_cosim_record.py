"""A co-simulated course is recorded as a site's own is."""

from __future__ import annotations

import json
from pathlib import Path

import cosim_kit as kit
from click.testing import CliRunner

from controller.cosim import cosim
from controller.recording.command import replay_command


def test_a_course_with_two_resets_is_two_sections_of_one_file_and_both_come_out_the_same(tmp_path: Path) -> None:
    course = [kit.reset(), *(kit.measurement(float(t)) for t in range(8))]
    lines = "".join(json.dumps(message) + "\n" for message in [*course, *course, {"type": "end"}])
    file = tmp_path / "course.jsonl.gz"
    assert CliRunner().invoke(cosim, ["--record", str(file)], input=lines).exit_code == 0
    result = CliRunner().invoke(replay_command, [str(file)])
    assert result.output.splitlines()[-1] == "16 cycles, identical"
    assert result.exit_code == 0
    by_clock = CliRunner().invoke(replay_command, [str(file), "--from", "12:00"])
    assert "--from is a time of day, but the recording knows none; expected site seconds" in by_clock.output


def test_a_place_that_cannot_be_is_refused_before_the_course(tmp_path: Path) -> None:
    result = CliRunner().invoke(cosim, ["--record", str(tmp_path / "nowhere" / "a.gz")], input="")
    assert result.exit_code == 1
    assert "No such file" in result.output
