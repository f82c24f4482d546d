"""A record says who gives up how much, for which limit and in whose turn."""

from __future__ import annotations

from functools import cache

import core_kit as kit
import pytest

from controller.domain.record import CycleRecord, LimitState, UnitState

# The export limit of 9 MW against 14 MW available less 2 MW of demand: about 3 MW must be given up.
AVAILABLE_W = {"WIND": 8e6, "PV": 6e6, "HUB": 0.0}
MISSING_W = (2.5e6, 3.6e6)


@cache
def full_day(principle: str) -> CycleRecord:
    """The last of 60 cycles with everybody able to give all; WIND is dear and first connected."""
    units = kit.four_units(
        WIND={"price_eur_per_mwh": 60.0, "stack_position": 2}, PV={"price_eur_per_mwh": 40.0, "stack_position": 1}
    )
    tight = {"limits": tuple(x for x in kit.limits() if x.id == "export")}
    site = kit.site([u for u in units if u.id != "BAT"], principle=principle, **tight)
    return kit.Loop(kit.Plant(site, AVAILABLE_W)).run(60)


def unit_of(record: CycleRecord, unit_id: str) -> UnitState:
    return next(u for u in record.units if u.id == unit_id)


def export_of(record: CycleRecord) -> LimitState:
    return next(x for x in record.limits if x.id == "export")


@pytest.mark.parametrize("principle", ["merit", "lifo", "pro_rata", "technical_best"])
def test_what_is_given_up_is_all_accounted_for(principle: str) -> None:
    """Twice: over the causes of each unit, and over the units of each limit."""
    record = full_day(principle)
    assert record.principle == principle
    assert MISSING_W[0] < record.given_up_w < MISSING_W[1]
    assert record.given_up_w == pytest.approx(sum(u.curtailed_w for u in record.units))
    for unit in record.units:
        assert sum(w.w for w in unit.withheld) == pytest.approx(unit.curtailed_w, abs=1e-3 * 8e6)
    for_export_w = sum(w.w for u in record.units for w in u.withheld if w.cause == "export")
    assert export_of(record).binding
    assert export_of(record).given_up_w == pytest.approx(for_export_w, abs=1e3)
    assert for_export_w > 0.95 * record.given_up_w


@pytest.mark.parametrize(
    ("principle", "ranks"),
    [("merit", (2, 1)), ("lifo", (2, 1)), ("pro_rata", (1, 1))],
)
def test_the_turn_follows_the_principle(principle: str, ranks: tuple[int, int]) -> None:
    """PV is cheaper and was connected last: its turn comes first by price and by date; pro rata knows no turns."""
    record = full_day(principle)
    assert (unit_of(record, "WIND").rank, unit_of(record, "PV").rank) == ranks
    first = unit_of(record, "PV").curtailed_w
    assert first > 0.9 * record.given_up_w if ranks == (2, 1) else first < 0.9 * record.given_up_w


def test_technical_best_has_turns_only_while_a_limit_binds() -> None:
    bound = full_day("technical_best")
    assert sorted(u.rank for u in bound.units)[0] == 1
    site = kit.site(kit.two_units(), principle="technical_best")
    calm = kit.Loop(kit.Plant(site, {"WIND": 1e6, "PV": 1e6})).run(20)
    assert [u.rank for u in calm.units] == [0, 0]
    assert calm.given_up_w == 0.0
    assert all(u.withheld == () for u in calm.units)


def test_storage_takes_no_turn_and_gives_nothing_up() -> None:
    record = kit.Loop(kit.Plant(kit.site(), AVAILABLE_W)).run(30)
    battery = unit_of(record, "BAT")
    assert (battery.rank, battery.curtailed_w, battery.withheld) == (0, 0.0, ())


def test_a_unit_held_by_the_mode_gives_up_for_the_mode() -> None:
    """Without a single network reading nothing is relaxed, and that is what the loss is booked on."""
    site = kit.site(kit.two_units())
    plant = kit.Plant(site, AVAILABLE_W)
    record = kit.Loop(plant).run(15, without=lambda name: not name.startswith("unit."))
    assert record.mode.value == "boot"
    for unit in record.units:
        assert [w.cause for w in unit.withheld] == ["mode.boot"]
        assert unit.withheld[0].w == pytest.approx(unit.curtailed_w)
