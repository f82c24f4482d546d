"""From stored means to forecast and projection: what was seen is learned, what nobody saw stays unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import SLOTS
from controller.planning.lookback import (
    calendar_at,
    learn,
    less_ordered,
    nothing_learned,
    offsets_of,
    points_of,
    project_ahead,
    series_of,
)
from controller.planning.projection import LimitOutlook, Projection

NOON_S = datetime(2026, 6, 15, 11, 0, tzinfo=UTC).timestamp()  # in London
ZONE = "Europe/London"


@pytest.fixture(scope="module")
def layout() -> Layout:
    site = load_site(find_site("secondary_rooftop"))
    return Layout(site, GridModel(site.topology))


def means(layout: Layout, demand_w: float = 20e3, sun_frac: float = 0.9) -> dict[str, float]:
    """Every household takes so much, every roof gives that share of its rating, as the store has it."""
    out = {point: 0.0 for point in points_of(layout) if not point.startswith("limit.")}
    for bus in layout.grid.injection_buses:
        out[f"bus.{bus}.p_w"] = demand_w
    for unit in layout.site.units:
        if unit.storage is None:
            out[f"unit.{unit.id}.p_avail_w"] = sun_frac * unit.p_rated_w
            out[f"unit.{unit.id}.p_w"] = -sun_frac * unit.p_rated_w
    return out


def test_local_midnight_is_a_whole_number_of_days_away_and_weekdays_are_right() -> None:
    calendar = calendar_at(NOON_S, ZONE)
    quarter = calendar.quarter(NOON_S)
    assert calendar.by_clock(quarter) % SLOTS == 48
    assert calendar.day_type(quarter) == 0  # a Monday
    assert calendar.day_type(quarter - SLOTS) == 1


def test_what_a_unit_could_give_is_what_it_reports_or_shows_while_nobody_holds_it_back(layout: Layout) -> None:
    given = means(layout)
    first, second, *_ = (unit for unit in layout.site.units if unit.storage is None)
    del given[f"unit.{first.id}.p_avail_w"], given[f"unit.{second.id}.p_avail_w"]
    given[f"unit.{second.id}.curtailed_w"] = 0.5 * second.p_rated_w
    series = dict(zip((u.id for u in layout.site.units), series_of(layout, given)[2 * layout.n_w :], strict=True))
    assert series[first.id] == pytest.approx(0.9 * first.p_rated_w)
    assert series[second.id] == pytest.approx(0.9 * second.p_rated_w)  # like its kin, not like what it was left


def test_what_nobody_stored_is_unknown(layout: Layout) -> None:
    series = series_of(layout, {})
    assert np.isnan(series[: 2 * layout.n_w]).all()
    assert not offsets_of(layout, {}).voltage_v.any()
    assert not offsets_of(layout, {}).flow.any()


def test_quarter_hours_are_learned_once_and_in_order(layout: Layout) -> None:
    calendar = calendar_at(NOON_S, ZONE)
    quarter, given = calendar.quarter(NOON_S), means(layout)
    whole = learn(layout, nothing_learned(layout, calendar), {quarter - 3: given, quarter - 1: given})
    first = learn(layout, nothing_learned(layout, calendar), {quarter - 3: given})
    both = learn(layout, first, {quarter - 1: given})
    assert whole.next_quarter == both.next_quarter == quarter
    np.testing.assert_array_equal(whole.history.deviation, both.history.deviation)
    assert np.isnan(whole.history.deviation[1]).any()  # the one in between, that nobody saw
    assert learn(layout, whole, {}) is whole


def test_a_noon_with_more_sun_than_the_transformer_carries_is_a_breach_and_a_dull_one_is_not(layout: Layout) -> None:
    calendar = calendar_at(NOON_S, ZONE)

    def worst(sun_frac: float) -> float:
        given = means(layout, 10e3, sun_frac)
        past = {calendar.quarter(NOON_S) - k: given for k in range(1, 9)}
        seen = project_ahead(layout, learn(layout, nothing_learned(layout, calendar), past), given, NOON_S, 4)
        assert seen.first_quarter == calendar.quarter(NOON_S)
        return max(float(limit.excess_w[0]) for limit in seen.limits if limit.limit == "TX.thermal")

    assert worst(1.0) > 0.0
    assert worst(0.1) < 0.0


def test_a_voltage_that_the_meters_see_higher_is_projected_higher(layout: Layout) -> None:
    given = means(layout)
    seen = offsets_of(layout, given | {"limit.A2.voltage.value": 430.0})
    again = offsets_of(layout, given | {"limit.A2.voltage.value": 431.5})
    at = layout.grid.buses.index("A2")
    assert again.voltage_v[at] - seen.voltage_v[at] == pytest.approx(1.5)
    assert not np.delete(seen.voltage_v, at).any()


def test_what_is_ordered_relieves_by_its_place_and_in_its_time_only() -> None:
    limit = LimitOutlook("export", "high", np.ones(3), np.array([8e5, 8e5, 8e5]), np.ones(2))
    other = replace(limit, limit="T1.thermal")
    left = less_ordered(Projection(100, (limit, other)), [(np.array([1.0, -0.5]), {101: 6e5, 99: 1e6, 103: 1e6})])
    np.testing.assert_allclose(left.limits[0].excess_w, [8e5, 2e5, 8e5])
    np.testing.assert_allclose(left.limits[1].excess_w, [8e5, 11e5, 8e5])
    np.testing.assert_allclose(limit.excess_w, [8e5, 8e5, 8e5])
