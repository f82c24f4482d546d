"""Vehicles leave before their order's hour: it is seen, asked for again, bought from somebody else, and told."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import market_kit as made
import numpy as np
import pytest
import uftp_kit as kit

from controller.balancing.lookout import Lookout
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.planner import Moved, move
from controller.balancing.uftp.rounds import Rounds
from controller.domain.market import Marketplace, Timetable
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.history.batch import Batch, Sample
from controller.history.collect import Collector
from controller.history.store import Store
from controller.planning.calendar import Calendar
from controller.planning.uptake import Uptake

TIMES = Timetable(offer_s=600.0, lead_s=600.0, again_s=1200.0)
CALENDAR = Calendar(kit.DAY.start_utc_s)
SITE = made.site_with(made.market_text(units="[EVH1]"))
LATER_S = kit.NOON_S + 1300.0


def place() -> Marketplace:
    """The depot's aggregator, and a battery's."""
    assert SITE.market is not None
    rules = SITE.market.rules
    other = replace(kit.participant(kit.OTHER), units=("BAT1",))
    return replace(SITE.market, rules=replace(rules, participants={**rules.participants, kit.OTHER: other}))


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(SITE, GridModel(SITE.topology))


def depot(most_w: float) -> dict[str, Uptake]:
    """Vehicles that take nothing unasked and can take so much, as long as anybody looks."""
    return {"EVH1": Uptake(np.zeros(8), np.full(8, most_w), np.inf, np.ones(8), np.zeros(8))}


def look(desk: Desk, layout: Layout, now_s: float, vehicles_w: float) -> Moved:
    seen = replace(made.projection(layout.n_w), uptake=depot(vehicles_w))
    return move(desk, Rounds(desk, layout, CALENDAR, 200.0), TIMES, seen, now_s)


def offered(desk: Desk, asked: dict[str, str], who: str, number: int, price: float, power_w: int) -> None:
    option = kit.option(power_w=power_w, price=price)
    said = kit.offer(asked[who], number=number, sender=who, offer_options=[option], time_stamp=kit.instant(LATER_S))
    verdict = kit.tell(desk, said, at_s=LATER_S)
    assert verdict.reason == ""


def bought(desk: Desk, layout: Layout) -> str:
    """800 kW of the depot, while the vehicles are there; the order's reference."""
    (asked,) = look(desk, layout, kit.NOON_S, 1e6).asked
    kit.tell(desk, kit.offer(asked[kit.AGR], offer_options=[kit.option(power_w=800_000, price=30.0)]))
    (order,) = look(desk, layout, kit.NOON_S + 600.0, 1e6).orders
    return order.reference


def test_what_left_with_the_vehicles_is_told_asked_for_again_and_bought_elsewhere(
    tmp_path: Path, layout: Layout
) -> None:
    with kit.desk_in(tmp_path, place().rules) as (desk, _):
        reference = bought(desk, layout)
        assert look(desk, layout, kit.NOON_S + 900.0, 1e6).short == {}
        gone = look(desk, layout, LATER_S, 300e3)
        assert gone.short == {
            reference: f"{kit.AGR}: from ISP 53 of 2026-06-15 on 300000 W can be counted on; 800000 W are ordered"
        }
        assert gone.need_w == pytest.approx(500e3)
        (asked,) = gone.asked
        offered(desk, asked, kit.AGR, 3, 1.0, 500_000)  # cheaper, but it has no vehicles for it
        offered(desk, asked, kit.OTHER, 4, 20.0, 500_000)
        replaced = look(desk, layout, LATER_S + 600.0, 300e3)
        assert [order.offer_id[:8] for order in replaced.orders] == ["00000004"]
        (why,) = (reason for option, reason in replaced.not_taken.items() if option.startswith("00000003"))
        assert why == "vehicles: 0% of it can be counted on, 25% is the least to take"
        assert replaced.need_w == 0.0
        assert set(replaced.short) == {reference}
        assert look(desk, layout, LATER_S + 700.0, 1e6).short == {}


def test_an_offer_is_ordered_as_far_as_the_vehicles_can_take_it(tmp_path: Path, layout: Layout) -> None:
    with kit.desk_in(tmp_path, place().rules) as (desk, _):
        (asked,) = look(desk, layout, kit.NOON_S, 400e3).asked
        kit.tell(desk, kit.offer(asked[kit.AGR], offer_options=[kit.option(power_w=800_000, price=30.0)]))
        (order,) = look(desk, layout, kit.NOON_S + 600.0, 400e3).orders
        assert max(order.ordered_w.values()) == pytest.approx(400e3, rel=0.06)
        assert order.price == pytest.approx(30.0 * order.activation_frac)


def test_vehicles_that_wait_as_was_said_leave_a_need_where_they_usually_charge(tmp_path: Path, layout: Layout) -> None:
    """0.3 MW of room from ISP 50 on, because vehicles usually take 0.5 MW then; their participant says: nothing."""
    usual = {"EVH1": Uptake(np.full(8, 500e3), np.full(8, 500e3), np.inf, np.ones(8), np.zeros(8))}
    seen = replace(made.projection(layout.n_w, -0.3e6), uptake=usual)
    export = replace(seen.limits[0], excess_w=np.full(8, -0.3e6))
    seen = replace(seen, limits=(export,))
    with kit.desk_in(tmp_path, place().rules) as (desk, _):
        rounds = Rounds(desk, layout, CALENDAR, 200.0)
        assert rounds.left(seen).limits[0].excess_w.tolist() == [-0.3e6] * 8
        kit.tell(desk, kit.prognosis(0, number=71))
        left = rounds.left(seen).limits[0]
        assert left.excess_w.tolist() == pytest.approx([0.2e6] * 8)
        assert left.probability.min() == pytest.approx(0.1)


PERIODS = [(int(kit.NOON_S) - back * 900, 900) for back in range(96, 1, -1)] + [
    (int(kit.NOON_S) - back * 300, 300) for back in (3, 2, 1)
]


def stored(folder: Path, hub: dict[str, float], hub_now: dict[str, float]) -> None:
    """A day of the site at rest but for its hub, and what the hub shows in the last five minutes."""
    rest = [f"bus.{bus.id}.{quantity}" for bus in SITE.topology.buses for quantity in ("p_w", "q_var")]
    rest += [f"unit.{unit.id}.p_w" for unit in SITE.units if unit.id != "EVH1"]
    with closing(Store(folder, SITE.name)) as store:
        for start_s, period_s in PERIODS:
            shown = hub_now if start_s == PERIODS[-1][0] else hub
            values = dict.fromkeys(rest, 0.0) | {f"unit.EVH1.{name}": value for name, value in shown.items()}
            samples = tuple(Sample(point, 1, value, value, value) for point, value in values.items())
            store.append(Batch(start_s, period_s, samples))


def test_the_lookout_counts_vehicles_from_the_store_and_sees_that_they_are_gone(tmp_path: Path) -> None:
    half_w = 0.5 * next(unit.p_rated_w for unit in SITE.units if unit.id == "EVH1")
    power, there = {"p_w": half_w}, {"p_w": half_w, "vehicles": 10.0, "wanted_wh": 300e3}
    gone = {"p_w": 0.0, "vehicles": 0.0, "wanted_wh": 0.0}
    found = {}
    for name, (usual, now) in {"silent": (power, power), "there": (there, there), "gone": (there, gone)}.items():
        folder = tmp_path / name
        folder.mkdir()
        stored(folder, usual, now)
        found[name] = Lookout(SITE, folder, kit.ZONE, 2 * 3600.0).look(kit.NOON_S).uptake["EVH1"]
    assert found["silent"].most_w[0] == pytest.approx(half_w, rel=0.1)
    assert found["there"].most_w[0] == pytest.approx(half_w, rel=0.1)
    assert (found["silent"].wanted_wh, found["there"].wanted_wh) == (np.inf, pytest.approx(300e3))
    assert found["gone"].most_w[0] == 0.0


def test_vehicles_in_a_record_are_kept_like_every_other_value() -> None:
    collector = Collector(60)
    record = {"seq": 1, "now_s": 0.0, "utc": "2026-06-15T11:00:00+00:00", "limits": [], "units": [], "events": []}
    collector.take(record | {"hubs": {"unit.EVH1.vehicles": 7.0, "unit.EVH1.wanted_wh": None}})
    batch = collector.close()
    assert batch is not None
    assert [(s.point, s.mean) for s in batch.samples] == [("unit.EVH1.vehicles", 7.0)]
