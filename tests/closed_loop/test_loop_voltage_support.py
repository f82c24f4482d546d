"""Voltage support against the simulated substation: what the true boundary does, not what the controller says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loop_kit import START_UP_S, ClosedLoop
from replay_kit import identical, replayed, written

from controller.clock import utc_s
from controller.control.cycle import step
from controller.control.state import ControlState
from controller.domain.instruction import INTERFACE, Action, Instruction
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.recording.format import Cycle
from controller.runtime.core import Step

SEED = 3
FEW_S = 15.0  # demo_primary polls and thinks once a second; its units are 1 to 3 s slow


def ask(loop: ClosedLoop, q_var: float, lasts_s: float, counter: int = 1) -> list[tuple[bool, str]]:
    """Give a reactive instruction to the next cycle; the answer arrives in the list."""
    heard: list[tuple[bool, str]] = []
    asked = Instruction(
        f"s{counter}", "ann", counter, utc_s(loop.loop.clock), lasts_s, Action.REACTIVE, INTERFACE, q_var=q_var,
        reason="voltage support",
    )  # fmt: skip
    loop.loop.desk.submit(asked, lambda *said: heard.append(said))
    return heard


def at(hour: float, core: Step[ControlState] = step) -> ClosedLoop:
    return ClosedLoop("demo_primary", hour, SEED, with_faults=False, core=core).run(START_UP_S)


def truth_var(loop: ClosedLoop) -> float:
    return loop.world.truth().interface_q_var


@pytest.mark.parametrize("change_var", [1.5e6, -1.5e6])
def test_the_true_boundary_reaches_what_is_asked_within_a_few_cycles(change_var: float) -> None:
    loop = at(8.0)
    wanted_var = truth_var(loop) + change_var
    heard = ask(loop, wanted_var, 300.0)
    loop.run(FEW_S)
    seen: list[float] = []
    loop.run(60.0, lambda: seen.append(truth_var(loop)))
    assert heard[0][0]
    assert "in full" in heard[0][1]
    assert np.median(seen) == pytest.approx(wanted_var, abs=100e3)  # tolerance of the units, bias of the meters
    assert np.abs(np.array(seen) - wanted_var).max() < 0.25 * abs(change_var), f"seed {SEED}"
    assert not loop.observer.over_after(START_UP_S)


def test_a_voltage_limit_in_the_way_makes_it_partial_and_is_kept_by_the_plant() -> None:
    loop = at(11.0)
    heard = ask(loop, -9e6, 300.0)
    loop.run(120.0)
    ((accepted, text),) = heard
    assert accepted
    assert "in part" in text
    assert "N3.voltage" in text
    support = loop.records[-1].support
    assert support is not None
    assert truth_var(loop) == pytest.approx(support.reached_var, abs=200e3)
    assert not loop.observer.over_after(START_UP_S), f"seed {SEED}"
    assert max(loop.observer.highest_frac.values()) > 0.9  # and the limit is used


def test_a_request_from_one_extreme_to_the_other_leaves_no_limit_behind() -> None:
    """Nine Mvar this way, then that way: more than all units have. Limits that are in use stay where they are."""
    loop, calm = at(14.0), at(14.0)
    for counter, q_var in enumerate((-9e6, 9e6), 1):
        ask(loop, q_var, 60.0, counter)
        loop.run(60.0)
    calm.run(120.0)
    over = loop.observer.over_after(START_UP_S)
    assert sum(map(len, over.values())) <= 3, f"seed {SEED}: {over}"
    assert max(loop.observer.highest_frac.values()) < 1.01
    assert sum(r.given_up_w for r in loop.records) <= 1.01 * sum(r.given_up_w for r in calm.records)


def test_support_costs_hardly_any_generation_at_full_transformers_and_ends_by_itself() -> None:
    """Nobody is reduced for it; but it takes room that free units would otherwise have been left to rise into."""
    asked, calm = at(11.0), at(11.0)
    before_var = truth_var(asked)
    ask(asked, before_var + 2e6, 120.0)
    asked.run(118.0)
    calm.run(118.0)
    given_up_wh = [sum(r.given_up_w for r in loop.records) / 3600.0 for loop in (asked, calm)]
    generated_wh = sum(-u.p_w for r in calm.records for u in r.units if u.p_w < 0.0) / 3600.0
    assert given_up_wh[0] <= given_up_wh[1] + 0.005 * generated_wh
    asked.run(60.0)
    assert asked.records[-1].support is None
    assert abs(truth_var(asked) - before_var) < 0.5e6


def test_a_recorded_instruction_is_thought_again_to_the_last_bit(tmp_path: Path) -> None:
    taped: list[Cycle] = []

    def taping(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
        after, record = step(site, state, snapshot)
        taped.append(Cycle(state, snapshot, record))
        return after, record

    loop = at(11.0, taping)
    ask(loop, 1.5e6, 10.0)
    loop.run(20.0)
    assert [c.record.support is not None for c in taped[-20:]].count(True) == 10
    again, notes = replayed(written(tmp_path / "support.jsonl.gz", taped[-30:]))
    assert len(again) == 30
    assert identical(again)
    assert notes == []
    changed = [replace(c, record=replace(c.record, support=None)) for c in taped[-30:]]
    assert not identical(replayed(written(tmp_path / "changed.jsonl.gz", changed))[0])
