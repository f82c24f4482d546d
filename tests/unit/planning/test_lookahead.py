"""What a stored MWh is worth: hand calculations, and the station of the core's tests."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from controller.domain.plan import StoragePlan, StoredEnergyPrice
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind
from controller.planning.dispatch_programme import Costs
from controller.planning.lookahead import opinion, price_stored_energy
from controller.planning.outlook import Periods, Room, Scenario, periods

QUICK = Actuator(0.5, 1.0, 0.5, 1e6, 1e6)
WEAR = 8.0


def unit(unit_id: str, kind: UnitKind, price: float, storage: Storage | None = None) -> Unit:
    """1 MW, no reactive power."""
    low, high = (0.0 if kind.consumes else -1e6), (0.0 if kind.generates else 1e6)
    safe = FailSafe(0.0, 0.0, 10.0)
    return Unit(unit_id, "B", kind, 1e6, 1.1e6, 0.0, low, high, price, 1, "", True, QUICK, safe, storage)


LOSSLESS = Storage(2e6, 0.0, 1.0, 1.0, 1.0, 0.5)
UNITS = (
    unit("SUN", UnitKind.PV, 50.0),
    unit("BAT", UnitKind.BATTERY, WEAR, LOSSLESS),
    unit("HEAT", UnitKind.FLEX_LOAD, 120.0),
)
CONTENTS = np.array([np.nan, 0.5, np.nan])


def world(
    export_max_w: list[float], import_max_w: list[float], sun_w: list[float], heat_w: list[float]
) -> list[tuple[Scenario, Room]]:
    """One scenario of a copper plate with an export and an import limit per hour (rows per unit of 1 MW)."""
    n = len(sun_w)
    sun, heat = np.array(sun_w), np.array(heat_w)
    net = heat - sun
    effect = np.full((n, 3), 1e-6)
    rooms = np.concatenate([np.array(export_max_w) + net, np.array(import_max_w) - net]) / 1e6
    period = np.tile(np.arange(n), 2).astype(np.intp)
    limits = Room(period, np.vstack([-effect, effect]), np.zeros((2 * n, 3)), rooms)
    return [(Scenario(np.zeros((n, 0)), np.stack([sun, 0.0 * sun, heat], axis=1)), limits)]


def hourly(n: int) -> Periods:
    first = np.arange(0, 4 * n, 4).astype(np.intp)
    return Periods(np.ones(n), first, first + 4)


def price(futures: list[tuple[Scenario, Room]], n: int, deficit: float = 0.0, soc: float = 0.5) -> StoredEnergyPrice:
    [found] = price_stored_energy(UNITS, futures, hourly(n), np.array([np.nan, soc, np.nan]), Costs(deficit))
    return found


FREE = [9e6, 9e6]


def test_surplus_that_will_not_fit_makes_room_worth_what_it_saves() -> None:
    """Two MWh too much in an hour from now, room for one: a MWh less in store saves 50 EUR less the charging's wear."""
    futures = world([0.0, 0.0], FREE, [1e6, 1e6], [0.0, 0.0])
    assert price(futures, 2).at(0.5) == pytest.approx(-(50.0 - 1.21 * WEAR), abs=0.3)


def test_demand_that_cannot_be_fed_makes_energy_worth_what_it_saves() -> None:
    futures = world(FREE, [0.0, 0.0], [0.0, 0.0], [1e6, 1e6])
    assert price(futures, 2).at(0.5) == pytest.approx(120.0 - 1.21 * WEAR, abs=0.3)


def test_with_nothing_ahead_neither_energy_nor_room_pays_its_wear() -> None:
    assert abs(price(world(FREE, FREE, [0.2e6, 0.2e6], [0.1e6, 0.1e6]), 2).at(0.5)) < WEAR


def test_energy_that_is_needed_later_and_can_be_had_now_is_worth_a_little_more_than_its_wear() -> None:
    """So the fast loop, which moves only for more than the real wear, does charge."""
    futures = world([9e6] * 3, [9e6, 9e6, 0.0], [0.0] * 3, [0.0, 0.0, 1e6])
    assert WEAR < price(futures, 3, soc=0.2).at(0.2) < 1.5 * WEAR


def test_what_is_missing_at_the_end_has_its_price() -> None:
    """In the last period nothing can be charged any more: the import is used up."""
    futures = world(FREE, [0.5e6, 0.5e6], [0.0, 0.0], [0.5e6, 0.5e6])
    found = price(futures, 2, deficit=100.0)
    assert found.at(0.3) == pytest.approx(100.0, abs=0.3)
    assert found.at(0.7) < 100.0 - WEAR


def test_a_price_never_rises_with_the_content() -> None:
    futures = world([0.3e6] * 6, [0.2e6] * 6, [0.9e6, 0.5e6, 0.1e6] * 2, [0.0, 0.4e6, 0.9e6] * 2)
    worth = price(futures, 6).eur_per_mwh
    assert all(a >= b for a, b in itertools.pairwise(worth))


def test_scenarios_are_averaged() -> None:
    much, little = world([0.0], [9e6], [1e6], [0.0]), world([9e6], [9e6], [0.0], [0.0])
    both = price([*much, *little], 1)
    assert both.at(0.5) == pytest.approx(0.5 * (price(much, 1).at(0.5) + price(little, 1).at(0.5)))


def test_most_scenarios_that_say_move_are_not_vetoed_by_those_that_do_not_care_and_a_rare_danger_still_counts() -> None:
    assert opinion(np.array([[10.0], [-9.0], [-9.0], [-9.0], [10.0]]))[0] == -9.0
    assert opinion(np.array([[0.0], [0.0], [0.0], [0.0], [-60.0]]))[0] == -12.0
    assert opinion(np.array([[50.0], [50.0], [-9.0], [-9.0], [-9.0]]))[0] == pytest.approx(14.6)


def test_a_storage_whose_content_nobody_knows_has_no_price() -> None:
    futures = world([0.0], [9e6], [1e6], [0.0])
    assert price_stored_energy(UNITS, futures, hourly(1), np.full(3, np.nan)) == ()


def test_data_that_are_no_numbers_give_no_price() -> None:
    [(scenario, limits)] = world([0.0], [9e6], [1e6], [0.0])
    broken = replace(limits, room=np.full_like(limits.room, np.nan))
    assert price_stored_energy(UNITS, [(scenario, broken)], hourly(1), CONTENTS) == ()


def test_periods_cover_every_quarter_hour_once() -> None:
    for quarters in (1, 5, 16, 17, 96, 191):
        when = periods(quarters)
        assert when.first[0] == 0
        assert when.end[-1] == quarters
        assert when.first[1:].tolist() == when.end[:-1].tolist()
        assert when.hours.sum() == pytest.approx(quarters / 4.0)


def test_a_price_between_its_contents_is_linear_and_beyond_them_flat() -> None:
    found = StoredEnergyPrice("BAT", (0.2, 0.4, 0.8), (30.0, 10.0, -10.0))
    assert [found.at(x) for x in (0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)] == pytest.approx([30, 30, 20, 10, 0, -10, -10])


@pytest.mark.parametrize(
    ("contents", "worths"),
    [((), ()), ((0.1,), (1.0, 2.0)), ((0.5, 0.2), (1.0, 2.0)), ((0.1, 0.2), (1.0, math.nan)), ((math.nan,), (1.0,))],
)
def test_a_price_that_makes_no_sense_is_refused(contents: tuple[float, ...], worths: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="energy stored in BAT"):
        StoredEnergyPrice("BAT", contents, worths)


def test_a_plan_is_in_force_until_it_expires_and_for_the_units_it_knows() -> None:
    plan = StoragePlan(100.0, 200.0, (StoredEnergyPrice("BAT", (0.5,), (5.0,)),))
    assert plan.price_of("BAT", 99.0) is None
    assert plan.price_of("BAT", 100.0) is not None
    assert plan.price_of("BAT", 200.0) is None
    assert plan.price_of("OTHER", 150.0) is None
