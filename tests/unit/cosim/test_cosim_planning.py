"""The slow loop inside a co-simulation: from when on it speaks, and that it says the same to the same course."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import cosim_kit as kit
from click.testing import CliRunner

from controller.cosim import Session, cosim
from controller.recording.command import replay_command

STORE = {"e_rated_wh": 2e6, "soc_initial": 0.5, "soc_min": 0.05, "soc_max": 0.95, "eff_charge": 0.95}


def reset(duration_s: float) -> dict[str, Any]:
    """The tiny plant with a battery, and a course that ends with a price on missing energy."""
    message = kit.reset()
    actuator = message["network"]["ders"][0]["actuator"]
    battery = {"id": "X", "bus": "BB", "type": "battery", "p_rated_w": 1e6, "s_rated_va": 1e6, "cost_eur_per_mwh": 8}
    message["network"]["ders"].append(battery | STORE | {"actuator": actuator, "stack_position": 0})
    ending = {"duration_s": duration_s, "objective": {"soc_deficit_eur_per_mwh": 100.0}}
    return message | {"scenario": message["scenario"] | ending | {"control_period_s": 60.0}}


def quiet_hour(soc: float) -> list[dict[str, Any]]:
    """One message a minute."""
    out = []
    for minute in range(60):
        values = {"der.X.p_w": 0.0, "der.X.q_var": 0.0, "der.X.soc": soc + 1e-5 * (minute % 2)}
        values |= {f"bus.{b}.u_v": 11e3 + minute % 2 for b in ("BB", "A", "B")}
        out.append(kit.measurement(60.0 * minute, **values))
    return out


def answers(duration_s: float, soc: float) -> list[dict[str, Any]]:
    """Everything answered to a quiet hour."""
    session, out = Session(), []
    session.handle(reset(duration_s))
    for message in quiet_hour(soc):
        answer = session.handle(message)
        assert answer is not None
        out.append(answer["setpoints"])
    return out


def test_before_the_end_of_a_course_that_punishes_missing_energy_the_battery_is_filled() -> None:
    asked_w = [a["X"]["p_w"] for a in answers(3600.0, 0.3) if "X" in a]
    assert min(asked_w) < -0.5e6


def test_a_full_battery_is_left_alone_in_a_quiet_hour() -> None:
    asked_w = [a["X"]["p_w"] for a in answers(3600.0, 0.6) if "X" in a]
    assert max(abs(p) for p in asked_w) < 1e4


def test_the_same_course_gets_the_same_answers_bit_by_bit() -> None:
    assert answers(3600.0, 0.3) == answers(3600.0, 0.3)


def test_a_course_with_plans_is_recorded_with_them_and_replayed_bit_by_bit(tmp_path: Path) -> None:
    course = [reset(3600.0), *quiet_hour(0.3), {"type": "end"}]
    file = tmp_path / "course.jsonl.gz"
    lines = "".join(json.dumps(message) + "\n" for message in course)
    assert CliRunner().invoke(cosim, ["--record", str(file)], input=lines).exit_code == 0
    with gzip.open(file, "rt") as text:
        assert '"eur_per_mwh"' in text.read()
    result = CliRunner().invoke(replay_command, [str(file)])
    assert result.output.splitlines()[-1] == "60 cycles, identical"
