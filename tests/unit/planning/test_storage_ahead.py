"""Prices of stored energy from what the station keeps: which limits they look at, and which way they point."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import core_planning_kit as kit
import numpy as np
import pytest

from controller.domain.connection import Calendar as When
from controller.domain.connection import CalendarCap, Connection
from controller.domain.limit import Limit, LimitKind
from controller.domain.platform import Link, Platform
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import SLOTS
from controller.planning.lookback import Learned, calendar_at, learn, nothing_learned
from controller.planning.outlook import periods
from controller.planning.storage_ahead import agreed, planned_site, price_ahead

MORNING_S = datetime(2026, 6, 10, 8, 0, tzinfo=UTC).timestamp()
EXPORT = Limit("export", LimitKind.EXPORT, "interface", 9e6)


def site_with(*limits: Limit, connection: Connection = Connection()) -> Site:  # noqa: B008
    layout, _ = kit.station()
    return replace(layout.site, limits=(*layout.site.limits, *limits), connection=connection)


def means(hour: float, sunny_w: float, soc_frac: float = 0.5) -> dict[str, float]:
    """What is stored of a quarter hour: farms that give what the sun gives from nine to three, 0.5 MW of demand."""
    sun_w = sunny_w if 9.0 <= hour < 15.0 else 0.0
    out = {f"bus.{bus}.{field}": 0.0 for bus in ("BB", "A", "B") for field in ("p_w", "q_var")} | {"bus.BB.p_w": 5e5}
    for unit, share in (("SUN_A", 0.6), ("SUN_B", 0.4), ("BAT", 0.0)):
        out |= {f"unit.{unit}.p_w": -share * sun_w, f"unit.{unit}.q_var": 0.0}
        out |= {f"unit.{unit}.p_avail_w": share * sun_w} if unit != "BAT" else {}
    return out | {"unit.BAT.soc_frac": soc_frac}


def learned(site: Site, sunny_w: float, days: int = 3) -> tuple[Layout, Learned]:
    """Some days like that, up to eight in the morning."""
    layout = Layout(site, GridModel(site.topology))
    calendar = calendar_at(MORNING_S, "UTC")
    last = calendar.quarter(MORNING_S)
    quarters = {k: means(k % SLOTS / 4.0, sunny_w) for k in range(last - days * SLOTS, last)}
    return layout, learn(layout, nothing_learned(layout, calendar), quarters)


def worth(site: Site, sunny_w: float, soc_frac: float) -> float:
    """EUR per MWh more in the battery, at eight in the morning."""
    layout, known = learned(planned_site(site), sunny_w)
    (price,) = price_ahead(layout, known, means(8.0, sunny_w, soc_frac), MORNING_S, SLOTS)
    assert price.unit == "BAT"
    return price.at(soc_frac)


def test_before_a_noon_that_the_export_limit_cannot_take_room_is_wanted() -> None:
    assert worth(site_with(replace(EXPORT, high=1.5e6)), 2.6e6, 0.8) < -20.0


def test_where_everything_may_be_exported_nothing_is_wanted() -> None:
    assert abs(worth(site_with(EXPORT), 2.6e6, 0.8)) < 10.0


def test_a_storage_whose_content_nobody_knows_has_no_price() -> None:
    layout, known = learned(site_with(EXPORT), 2.6e6)
    recent = {name: value for name, value in means(8.0, 2.6e6).items() if not name.endswith("soc_frac")}
    assert price_ahead(layout, known, recent, MORNING_S, SLOTS) == ()


def test_what_holds_for_good_is_looked_at_not_what_is_lifted_for_a_while() -> None:
    platform = Platform(Link("https://x", "ven", 30.0, 60.0, "/c"), (), (("export", 2e6),))
    site = replace(site_with(EXPORT), platform=platform)
    limits = tuple(replace(x, rated=0.8 * x.high) if x.id == "T.thermal" else x for x in site.limits)
    found = {x.id: x.high for x in planned_site(replace(site, limits=limits)).limits}
    rating = next(x.high for x in site.limits if x.id == "T.thermal")
    assert found["T.thermal"] == pytest.approx(0.8 * rating)
    assert found["export"] == 2e6


def test_a_cap_of_the_calendar_counts_in_the_periods_that_it_touches() -> None:
    """Eleven to three by the site's clock, which is two hours ahead of UTC."""
    cap = CalendarCap("noon", "export", 1e6, When(from_min=11 * 60, to_min=15 * 60))
    site = replace(site_with(EXPORT, connection=Connection(caps=(cap,))), timezone="Europe/Amsterdam")
    when = periods(SLOTS)
    high_w = agreed(site, MORNING_S, when)["export"]
    capped_h = [when.first[k] / 4.0 for k in np.flatnonzero(high_w == 1e6)]
    assert (capped_h[0], capped_h[-1]) == (1.0, 4.0)  # it is ten local; the last hours are one period each
    assert set(high_w) == {1e6, 9e6}
