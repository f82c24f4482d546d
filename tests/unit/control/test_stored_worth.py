"""What the station says stored energy is worth: a lease that restricts nobody, judged like any other."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import core_kit as kit
import numpy as np
import pytest

from controller.control.book import dump_book, load_book
from controller.control.cycle import step
from controller.control.override import Book, receive
from controller.control.state import initial_state
from controller.control.storage import RULE
from controller.domain.instruction import Action, Instruction
from controller.domain.owner import Owner
from controller.domain.plan import StoredEnergyPrice
from controller.domain.planning import PLANS_AT_ONCE, planning_for
from controller.domain.record import CycleRecord, UnitState
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.limits.in_force import Situation
from controller.limits.operator import Nothing, OperatorReason
from controller.recording.explain import explained
from controller.recording.format import snapshot_from_tree, snapshot_to_tree
from controller.runtime.instruction_wire import read_instruction, write_instruction

UTC_S = 1.8e9
NONE = np.zeros(4)
PLANNING = planning_for(["BAT"], 900.0, 86_400.0, 2700.0)
SITE = replace(kit.site(), planning=PLANNING)
PRICE = StoredEnergyPrice("BAT", (0.2, 0.8), (40.0, -10.0))
GOOD = Instruction(
    "w1", "plan:station", 7, UTC_S, 600.0, Action.WORTH, "BAT", reason="look-ahead", owner=Owner.PLAN, worth=PRICE
)


def snapshot(*asked: Instruction, now_s: float = 0.0) -> Snapshot:
    return Snapshot(now_s, {}, UTC_S + now_s, instructions=asked)


def taken(book: Book, asked: Instruction, now_s: float = 0.0, site: Site = SITE) -> tuple[Book, str]:
    """The book after one instruction, and the answer to it."""
    found = receive(site, book, snapshot(asked, now_s=now_s), NONE)
    event = found.events[-1]
    return found.book, event.text if event.name == "instruction.refused" else ""


def worth(*contents_and_worths: tuple[float, float], unit: str = "BAT") -> StoredEnergyPrice:
    contents, worths = zip(*contents_and_worths, strict=True)
    return StoredEnergyPrice(unit, contents, worths)


BAD = [
    ({"worth": None}, "needs worth"),
    ({"subject": "NOBODY", "worth": worth((0.5, 1.0), unit="NOBODY")}, "unknown unit"),
    ({"subject": "WIND", "worth": worth((0.5, 1.0), unit="WIND")}, "its own storage"),
    ({"worth": worth((0.5, 1.0), unit="WIND")}, "its own storage"),
    ({"q_var": 1e5}, "no q_var"),
    ({"value": 1.0}, "takes no number"),
    ({"worth": worth((-0.1, 1.0))}, "0…1"),
    ({"worth": worth((0.5, 1.0), (1.1, 0.0))}, "0…1"),
    ({"worth": worth(*((k / 20.0, 0.0) for k in range(17)))}, "at most 16"),
    ({"worth": worth((0.5, 1.1e5))}, "at most ±100000"),
    ({"worth": worth((0.2, 1.0), (0.8, 2.0))}, "no rise"),
    ({"lasts_s": 2701.0}, "at most 2700"),
    ({"counter": 6}, "replayed"),
    ({"issued_utc_s": UTC_S - 600.0}, "expired"),
    ({"issued_utc_s": UTC_S + 3.0}, "from the future"),
    ({"owner": Owner.OPERATOR, "issuer": "ann"}, "no authority"),
    ({"owner": Owner.PLATFORM}, "no authority"),
    ({"issuer": "plan:other"}, "no authority"),
    ({"action": Action.LIMIT, "value": 1e6, "worth": None}, "not for a plan"),
    ({"action": Action.OVERRIDE, "value": 1e6, "worth": None}, "not for a plan"),
    ({"action": Action.OVERRIDE, "value": 1e6}, "takes no worth"),
]


@pytest.mark.parametrize(("changes", "why"), BAD)
def test_a_bad_price_is_refused_whole_with_its_reason(changes: dict[str, object], why: str) -> None:
    before = Book(counters={"plan:station": 6})
    book, text = taken(before, replace(GOOD, **changes))  # type: ignore[arg-type]
    assert why in text
    assert book == before


def test_a_site_without_planning_takes_no_price() -> None:
    _, text = taken(Book(), GOOD, site=kit.site())
    assert "no authority" in text


def test_a_newer_price_takes_the_place_of_the_older_one_without_a_word_and_ends_by_itself() -> None:
    book, _ = taken(Book(), GOOD)
    newer = receive(
        SITE, book, snapshot(replace(GOOD, id="w2", counter=8, issued_utc_s=UTC_S + 60.0), now_s=60.0), NONE
    )
    assert [event.name for event in newer.events] == ["instruction.accepted"]
    assert [s.instruction.id for s in newer.book.standing] == ["w2"]
    ended = receive(SITE, newer.book, Snapshot(660.0, {}, UTC_S - 1e6), NONE)
    assert [event.name for event in ended.events] == ["instruction.expired"]
    assert ended.book.standing == ()


def test_a_flood_of_prices_uses_up_its_writes_and_nobody_else_s_room() -> None:
    book, answers = Book(), []
    for k in range(100):
        price = worth((0.5, float(k)))
        book, text = taken(book, replace(GOOD, id=f"w{k}", counter=k, worth=price))
        answers.append(text)
    assert sum(not text for text in answers) == PLANS_AT_ONCE
    assert "too often" in answers[-1]
    assert len(book.standing) == 1
    operator = Instruction("o1", "ann", 1, UTC_S, 600.0, Action.BLOCK, "PV", reason="people at work")
    assert taken(book, operator)[1] == ""


def test_a_price_restricts_nobody() -> None:
    book, _ = taken(Book(), GOOD)
    situation = Situation(snapshot(), None, book.standing, (), None)  # type: ignore[arg-type]
    assert OperatorReason(SITE).propose(Nothing(), situation)[1] == []


def test_a_price_outlives_a_restart_and_a_storage_that_is_gone_costs_nobody_s_instruction() -> None:
    book, _ = taken(Book(), GOOD)
    book, _ = taken(book, Instruction("o1", "ann", 1, UTC_S, 600.0, Action.BLOCK, "PV", reason="people at work"))
    document = json.loads(json.dumps(dump_book(book, 0.0)))
    again, told = load_book(SITE, document, 100.0, 5.0)
    assert told == []
    assert repr(again.standing[0].instruction) == repr(GOOD)
    assert again.standing[0].expires_at_s == 505.0
    units = tuple(replace(u, storage=None) if u.id == "BAT" else u for u in SITE.units)
    without, told = load_book(replace(SITE, units=units), document, 100.0, 5.0)
    assert told == []
    assert [s.instruction.id for s in without.standing] == ["o1"]


def test_a_price_is_the_same_behind_the_wire_and_in_a_recording() -> None:
    line = write_instruction(GOOD)
    assert repr(read_instruction(line, "root", UTC_S, {"plan:station": Owner.PLAN})) == repr(GOOD)
    assert repr(snapshot_from_tree(json.loads(json.dumps(snapshot_to_tree(snapshot(GOOD)))))) == repr(snapshot(GOOD))


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (7, "expected an object"),
        ({"soc_frac": [0.5]}, "eur_per_mwh is missing"),
        ({"soc_frac": [0.5], "eur_per_mwh": [1.0], "unit": "BAT"}, "unknown ['unit']"),
        ({"soc_frac": [0.5], "eur_per_mwh": [1.0, 0.0]}, "as many worths as contents"),
        ({"soc_frac": [0.8, 0.2], "eur_per_mwh": [1.0, 0.0]}, "ascending"),
        ({"soc_frac": [], "eur_per_mwh": []}, "not empty"),
        ({"soc_frac": [0.5], "eur_per_mwh": ["9"]}, "finite number"),
        ({"soc_frac": [0.5], "eur_per_mwh": [10**400]}, "finite number"),
    ],
)
def test_a_price_that_is_none_is_refused_where_it_is_read(part: object, why: str) -> None:
    line = json.dumps(json.loads(write_instruction(GOOD)) | {"worth": part}).encode()
    with pytest.raises(ValueError) as caught:
        read_instruction(line, "root", UTC_S, {"plan:station": Owner.PLAN})
    assert why in str(caught.value)


def run(
    asked: tuple[Instruction, ...], at_s: int, seconds: int, **available_w: float
) -> tuple[kit.Plant, list[CycleRecord]]:
    """The station for so long; the instructions come in one cycle."""
    plant = kit.Plant(SITE, {"WIND": 1e6, "PV": 0.0, "HUB": 0.0} | available_w)
    state, records = initial_state(SITE), []
    for k in range(seconds):
        seen = replace(plant.snapshot(), utc_s=UTC_S + plant.now_s, instructions=asked if k == at_s else ())
        state, record = step(SITE, state, seen)
        plant.command(record)
        plant.move(1.0)
        records.append(record)
    return plant, records


def battery(record: CycleRecord) -> UnitState:
    return next(unit for unit in record.units if unit.id == "BAT")


def test_a_price_moves_the_storage_until_it_ends_and_then_the_loop_s_own_rule_holds_again() -> None:
    price = replace(GOOD, worth=worth((0.5, 60.0)), issued_utc_s=UTC_S + 20.0, lasts_s=30.0)
    _, records = run((price,), 20, 80)
    before, during, after = (battery(records[k]) for k in (19, 45, 79))
    assert (before.worth_cause, during.worth_cause, after.worth_cause) == (RULE, "plan:w1", RULE)
    assert during.worth_eur_per_mwh == 60.0
    assert during.p_set_w > 1e6
    assert abs(before.p_set_w) < 1.0
    assert abs(after.p_set_w) < 1.0
    assert math.isnan(next(unit for unit in records[45].units if unit.id == "PV").worth_eur_per_mwh)
    said = [line for one, two in pairwise(records) for line in explained(two, one) if "is worth" in line]
    assert [line.split(" by ")[1].split(",")[0] for line in said] == ["plan:w1", RULE]


@pytest.mark.parametrize("eur_per_mwh", [-1e5, 1e5])
def test_no_price_makes_anybody_exceed_a_limit(eur_per_mwh: float) -> None:
    """Wind and sun for 12 MW of export, 9 MW agreed: a price that begs for discharging gets none of it."""
    price = replace(GOOD, worth=worth((0.5, eur_per_mwh)), issued_utc_s=UTC_S + 60.0, lasts_s=600.0)
    plant, records = run((price,), 60, 180, WIND=8e6, PV=6e6)
    exported_w = [next(x for x in record.limits if x.id == "export").value for record in records[61:]]
    assert battery(records[-1]).worth_cause == "plan:w1"
    assert max(exported_w) < 9e6 * 1.01
    assert plant.truth()["interface.p_w"] > -9e6 * 1.01
    assert all(record.feasible for record in records[61:])
