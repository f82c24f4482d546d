"""A lost unit comes back by itself alone, after three good readings and a hold, and not at a flap of its link."""

from __future__ import annotations

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.recovery import initial_recovery, recover
from controller.domain.site import CycleSettings

HOLD_S = 30.0


def course(words: str, *, reads: int = 3, hold_s: float = HOLD_S, reverts: bool = True) -> str:
    """One letter per second: ``r`` read, ``-`` heard before but nothing new, ``s`` silent; back come ``L`` or ``.``."""
    state, out = initial_recovery(1), ""
    settings = CycleSettings(recovery_reads=reads, unit_recovery_hold_s=hold_s)
    for k, word in enumerate(words):
        silent, fresh = np.array([word == "s"]), np.array([word == "r"])
        state = recover(state, silent, fresh, np.array([reverts]), float(k), settings)
        out += "L" if state.lost[0] else "."
    return out


COURSES = [
    ("ssr", "LL."),  # never in use before: the boot rule decides
    ("rrs" + "r" * 32, "..L" + "L" * 30 + ".."),
    ("rrs" + "r" * 10 + "s" + "r" * 32, "..L" + "L" * 10 + "L" + "L" * 30 + ".."),
    ("rrs" + "r" + "-" * 40, "..L" + "L" * 41),
    ("rrs" + "r--r--" + "-" * 28 + "r-", "..L" + "L" * 34 + ".."),
]


@pytest.mark.parametrize(("words", "expected"), COURSES)
def test_a_lost_unit_is_back_after_three_readings_and_the_hold(words: str, expected: str) -> None:
    assert course(words) == expected


def test_both_numbers_are_the_site_s() -> None:
    assert course("rsrrr", reads=2, hold_s=0.0) == ".LL.."
    assert course("rsrrrr", reads=1, hold_s=2.0) == ".LLL.."


def test_a_unit_that_has_kept_its_set_point_is_in_use_again_at_once() -> None:
    assert course("rrsr", reverts=False) == "..L."


@given(st.text("r-s", min_size=1, max_size=150))
def test_nobody_is_trusted_within_the_hold_after_silence(words: str) -> None:
    told = course(words)
    first = told.find(".")
    for k, letter in enumerate(told):
        if letter == ".":
            assert "s" not in words[max(first, k - int(HOLD_S) + 1) : k + 1]


def test_each_unit_recovers_by_itself_while_the_others_go_on() -> None:
    plant = kit.Plant(kit.site(), {"WIND": 4e6, "PV": 3e6, "HUB": 1e6})
    loop = kit.Loop(plant)
    loop.run(20)
    loop.run(6, lambda name: name.startswith("unit.PV"))
    back = [next(u.status for u in loop.run(1).units if u.id == "PV") for _ in range(40)]
    assert back[:29] == ["lost"] * 29
    assert "lost" not in back[32:]
    told = next(s for s in loop.records[40].setpoints if s.unit == "PV")
    assert (told.p_w, told.owner, told.causes) == (-0.6e6, "fail_safe", ("unit.lost",))
    loop.run(60)
    assert plant.p_w("PV") == pytest.approx(-3e6, rel=0.02)
    assert all(u.status != "lost" for r in loop.records for u in r.units if u.id == "WIND")
    assert [e.name for r in loop.records for e in r.events if e.subject == "PV"].count("unit.back") == 1
