"""Reactive power that is asked for at the interface: in full, in part with what is in the way, or refused."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.book import dump_book, load_book
from controller.control.cycle import step
from controller.control.override import Book, receive
from controller.control.support import Attained, in_charge, interface_va
from controller.domain.instruction import Action, Instruction, Standing
from controller.domain.owner import Owner
from controller.domain.record import CycleRecord, Mode
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.recording.explain import explained

UTC_S = 1.8e9
SETTLED = 20  # cycles
CALM = {"WIND": 3e6, "PV": 2e6, "HUB": 3e5}
FULL = {"WIND": 8e6, "PV": 6e6, "HUB": 0.0}


class Asked(kit.Loop):
    """The kit's loop, after start-up, with somebody who can say something before a cycle."""

    def __init__(self, site: Site | None = None, available_w: dict[str, float] | None = None) -> None:
        super().__init__(kit.Plant(kit.site() if site is None else site, CALM if available_w is None else available_w))
        self.run(30)
        self.counter = 0
        self.units_silent = False

    def ask(self, q_var: float | None, **changes: Any) -> CycleRecord:
        """One cycle that hears a reactive instruction for ten minutes."""
        self.counter += 1
        without = (lambda name: name.startswith("unit.")) if self.units_silent else (lambda _: False)
        said = instruction(q_var, self.counter, self.plant.now_s, **changes)
        heard = replace(self.plant.snapshot(without), utc_s=UTC_S + self.plant.now_s, instructions=(said,))
        self.state, record = step(self.plant.site, self.state, heard)
        self.records.append(record)
        self.plant.command(record)
        self.plant.move(self.plant.site.cycle.cycle_s)
        return record

    @property
    def q_var(self) -> float:
        return self.plant.truth()["interface.q_var"]


def instruction(q_var: float | None, counter: int = 1, now_s: float = 0.0, **changes: Any) -> Instruction:
    made = Instruction(
        f"i{counter}", "ann", counter, UTC_S + now_s, 600.0, Action.REACTIVE, "interface", q_var=q_var, reason="TSO"
    )
    return replace(made, **changes)


def answer(record: CycleRecord) -> tuple[str, str]:
    return next((e.name, e.text) for e in record.events if e.name in ("instruction.accepted", "instruction.refused"))


@pytest.mark.parametrize("q_var", [1.5e6, 0.0, -1.5e6])
def test_what_units_can_give_is_had_in_full_within_a_few_cycles(q_var: float) -> None:
    loop = Asked()
    before_var = loop.q_var
    name, text = answer(loop.ask(q_var))
    assert name == "instruction.accepted"
    assert "in full" in text
    record = loop.run(4)
    assert record.support is not None
    assert loop.q_var == pytest.approx(q_var, abs=record.support.tolerance_var)
    assert record.support.before_var == pytest.approx(before_var, abs=1e3)
    assert record.support.obstacle == ""


def test_a_voltage_limit_in_the_way_makes_it_partial_and_is_named() -> None:
    loop = Asked()
    name, text = answer(loop.ask(-9e6))
    assert name == "instruction.accepted"
    assert "in part" in text
    assert "voltage" in text
    record = loop.run(SETTLED)
    assert record.support is not None
    assert "voltage in the way" in record.support.obstacle
    assert record.support.reached_var == pytest.approx(loop.q_var, abs=1e5)
    assert "support.short" in {e.name for r in loop.records for e in r.events}
    assert max(loop.plant.truth()[f"bus.{n}.u_v"] for n in ("N1", "N2")) < 1.06 * 11e3


def test_units_that_have_no_more_are_named() -> None:
    loop = Asked(kit.site(limits=tuple(x for x in kit.limits() if x.kind.value != "voltage")))
    _, text = answer(loop.ask(9e6))
    assert "no more to be had from WIND, PV, BAT" in text


def test_nobody_gives_up_active_power_for_it() -> None:
    """The transformer is full of wind and sun: not one watt less because somebody asks for reactive power."""
    calm, asked = Asked(available_w=FULL), Asked(available_w=FULL)
    asked.ask(4e6)
    calm.run(41)
    asked.run(40)
    assert asked.records[-1].given_up_w <= calm.records[-1].given_up_w + 0.005 * 14e6
    assert not any(w.cause.startswith("operator:") for u in asked.records[-1].units for w in u.withheld)


def test_it_is_given_back_softly_when_it_expires() -> None:
    loop = Asked()
    before_var = loop.q_var
    loop.ask(2e6, lasts_s=30.0)
    course = []
    for _ in range(60):
        loop.run(1)
        course.append(loop.q_var)
    assert loop.records[-1].support is None
    all_var = sum(u.q_max_var for u in loop.plant.site.units)
    assert course[-1] == pytest.approx(before_var, abs=0.05 * all_var)  # what a dead-band leaves
    steps = [abs(b - a) for a, b in pairwise(course)]
    assert max(steps) < 0.35 * (2e6 - before_var)


def test_set_points_name_who_asked_and_replay_explains_it() -> None:
    loop = Asked()
    loop.ask(1.5e6)
    record = loop.run(3)
    moved = next(s for s in record.setpoints if s.unit == "WIND")
    assert (moved.owner, moved.causes[-1]) == (Owner.OPERATOR.value, "operator:i1")
    (line,) = [x for x in explained(record, loop.records[-2]) if x.startswith("support")]
    assert "for operator because of operator:i1" in line
    assert "in full" in line
    assert explained(record, None, "interface")


HOSTILE = [
    ({"q_var": math.nan}, "malformed"),
    ({"q_var": math.inf}, "malformed"),
    ({"q_var": None}, "needs q_var"),
    ({"q_var": 1.1e7}, "carries at most"),
    ({"q_var": -1.1e7}, "carries at most"),
    ({"value": 1e6}, "takes no number"),
    ({"subject": "WIND"}, "asked for at interface"),
    ({"subject": "export"}, "asked for at interface"),
    ({"counter": 0}, "replayed"),
    ({"issued_utc_s": UTC_S - 600.0}, "expired"),
    ({"issued_utc_s": UTC_S + 3.0}, "from the future"),
    ({"lasts_s": 86_401.0}, "out of range"),
]


def anything(asked: Standing) -> Attained:
    q_var = asked.instruction.q_var
    assert q_var is not None
    return Attained(q_var, 0.0, q_var, 1e3)


@pytest.mark.parametrize(("changes", "why"), HOSTILE)
def test_a_hostile_one_is_refused_whole(changes: dict[str, Any], why: str) -> None:
    book = Book(counters={"ann": 0})
    asked = replace(instruction(1e6), **changes)
    found = receive(kit.site(), book, Snapshot(0.0, {}, UTC_S, instructions=(asked,)), np.zeros(4), anything)
    assert found.book == book
    (event,) = found.events
    assert event.name == "instruction.refused"
    assert why in event.text


def test_an_instruction_nobody_can_judge_is_refused() -> None:
    heard = Snapshot(0.0, {}, UTC_S, instructions=(instruction(1e6),))
    assert receive(kit.site(), Book(), heard, np.zeros(4)).book == Book()


def test_one_of_which_nothing_can_be_had_is_refused_and_ends_nothing() -> None:
    loop = Asked()
    loop.ask(1e6)
    loop.units_silent = True
    loop.run(20, lambda name: name.startswith("unit."))
    standing = loop.state.book.standing
    name, text = answer(loop.ask(2e6))
    assert name == "instruction.refused"
    assert "nothing of 2000 kvar can be had now" in text
    assert loop.state.book.standing == standing


def test_before_the_site_is_ready_it_is_refused_by_the_mode() -> None:
    fresh = kit.Loop(kit.Plant(kit.site(), CALM))
    heard = replace(fresh.plant.snapshot(), utc_s=UTC_S, instructions=(instruction(1e6),))
    assert fresh.state.mode is Mode.BOOT
    _, record = step(fresh.plant.site, fresh.state, heard)
    assert "mode.boot" in answer(record)[1]


def standing(owner: Owner, name: str) -> Standing:
    return Standing(instruction(1e6, owner=owner, id=name, issuer=name), 1.0)


def test_the_highest_layer_is_in_charge_and_of_one_layer_the_newest() -> None:
    tso, newer, dso, operator = (
        standing(Owner.TSO, "t1"), standing(Owner.TSO, "t2"), standing(Owner.FLEXIBILITY, "f"),
        standing(Owner.OPERATOR, "o"),
    )  # fmt: skip
    assert in_charge([tso, newer]) is newer
    assert in_charge([dso, tso, newer]) is dso
    assert in_charge([operator, dso, newer]) is operator
    assert in_charge([]) is None


def test_what_flowed_before_is_kept_from_one_instruction_to_the_next_and_over_a_restart() -> None:
    loop = Asked()
    before_var = loop.q_var
    for q_var in (1.5e6, 2e6):
        loop.ask(q_var)
        loop.run(5)
    (stands,) = loop.state.book.standing
    assert stands.before_var == pytest.approx(before_var, abs=1e3)
    book, events = load_book(loop.plant.site, dump_book(loop.state.book, 0.0), 0.0, 0.0)
    assert not events
    assert book.standing[0].before_var == stands.before_var


def test_a_limit_that_is_asked_for_at_the_interface_is_refused_not_taken_for_the_export_limit() -> None:
    asked = instruction(None, action=Action.LIMIT, value=1e6)
    found = receive(kit.site(), Book(), Snapshot(0.0, {}, UTC_S, instructions=(asked,)), np.zeros(4))
    assert "neither a limit nor a unit" in found.events[0].text


def test_the_interface_carries_what_its_transformers_may() -> None:
    assert interface_va(kit.site()) == pytest.approx(10e6)


@settings(max_examples=12)
@given(
    st.floats(-9.9e6, 9.9e6),
    st.floats(0.0, 8e6),
    st.floats(0.0, 6e6),
    st.floats(1e6, 4e6),
)
def test_whatever_is_asked_no_limit_is_wider_and_no_unit_beyond_its_apparent_power(
    q_var: float, wind_w: float, sun_w: float, town_w: float
) -> None:
    loop = kit.Loop(kit.Plant(kit.site(), {"WIND": wind_w, "PV": sun_w, "HUB": 5e5}, town_w))
    loop.run(20)
    untold = loop.records[-1]
    asked = replace(
        loop.plant.snapshot(),
        utc_s=UTC_S + loop.plant.now_s,
        instructions=(instruction(q_var, now_s=loop.plant.now_s),),
    )
    loop.state, record = step(loop.plant.site, loop.state, asked)
    loop.plant.command(record)
    loop.plant.move(1.0)
    for _ in range(12):
        record = loop.run(1)
        for now, then in zip(record.limits, untold.limits, strict=True):
            assert (now.high, now.low) == (then.high, then.low)
        for unit in loop.plant.site.units:
            p_w, q_unit_var = loop.plant.p_w(unit.id), loop.plant.q_var[unit.id]
            assert abs(q_unit_var) <= unit.q_max_var + 1.0
            assert math.hypot(p_w, q_unit_var) <= 1.001 * unit.s_rated_va
    truth = loop.plant.truth()
    for limit in loop.plant.site.limits:
        if limit.kind.value == "voltage":
            assert 0.94 * 11e3 < truth[f"bus.{limit.element}.u_v"] < 1.06 * 11e3
        if limit.kind.value == "thermal":
            assert truth[f"branch.{limit.element}.i_a"] < 1.003 * limit.high
