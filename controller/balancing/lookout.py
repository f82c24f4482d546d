"""The station's view of what comes: learned from its history, projected or priced over the coming quarter hours.

Reads the history on a connection of its own that cannot write; used by one thread only.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from controller.balancing.weather.memory import heard_since
from controller.domain.market import DESK
from controller.domain.owner import Owner
from controller.domain.plan import StoredEnergyPrice
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.history.evidence import Evidence
from controller.history.measured import measured_mean_w
from controller.history.store import curtailments, known_until_s, means, open_to_read
from controller.planning.calendar import QUARTER_S, Calendar
from controller.planning.foretold import NOTHING_HEARD, Heard
from controller.planning.lookback import (
    Learned,
    calendar_at,
    learn,
    nothing_learned,
    points_of,
    present_points_of,
    project_ahead,
)
from controller.planning.projection import Projection
from controller.planning.settlement import Proof
from controller.planning.storage_ahead import price_ahead

_log = structlog.get_logger()

LOOK_BACK_S = 28 * 86_400.0
RECENT_S = 300.0
STALE_S = 900.0
"""A history that ends longer ago says nothing about now."""
MARKET_ORDERS = f"{Owner.FLEXIBILITY.value}:{DESK}-"
"""How the causes begin of what is given up for an order of the market."""


class Blind(Exception):
    """Nothing can be said about the coming hours; the text is why."""


class Lookout:
    """One site's. The local days of ``zone`` are those of the forecast."""

    def __init__(self, site: Site, folder: Path, zone: str, horizon_s: float) -> None:
        self.layout = Layout(site, GridModel(site.topology))
        self.calendar = Calendar()
        self._points, self._present = points_of(self.layout), present_points_of(self.layout)
        self._folder, self._zone = folder, zone
        self._quarters = round(horizon_s / QUARTER_S)
        self._learned: Learned | None = None

    def look(self, now_utc_s: float) -> Projection:
        """The projection from now on. Raises Blind, sqlite3.Error, or PowerFlowError."""
        learned, recent, heard = self._read(now_utc_s)
        return project_ahead(self.layout, learned, recent, now_utc_s, self._quarters, heard)

    def prices(self, now_utc_s: float) -> tuple[StoredEnergyPrice, ...]:
        """What stored energy is worth from now on. Raises Blind, sqlite3.Error, or PowerFlowError."""
        learned, recent, heard = self._read(now_utc_s)
        return price_ahead(self.layout, learned, recent, now_utc_s, self._quarters, heard)

    def _read(self, now_utc_s: float) -> tuple[Learned, dict[str, float], Heard]:
        """Everything learned up to now, the means of the last minutes, and the forecasts of the weather since then."""
        self._follow_clock(now_utc_s)
        with closing(open_to_read(self._folder)) as db:
            until_s = known_until_s(db)
            if until_s is None:
                raise Blind("the history is empty; expected records of the control process")
            if not -RECENT_S <= now_utc_s - until_s <= STALE_S:
                raise Blind(_out_of_step(now_utc_s - until_s))
            complete = self.calendar.quarter(until_s)
            learned = self._learned or nothing_learned(self.layout, self.calendar)
            first = learned.next_quarter or self.calendar.quarter(until_s - LOOK_BACK_S)
            begin_s, end_s = self.calendar.start_s(first), self.calendar.start_s(complete)
            found = means(db, self._points, begin_s, end_s, QUARTER_S)
            recent = means(db, self._present, until_s - RECENT_S, until_s, 2.0 * RECENT_S).get(0, {})
        heard = self._heard(begin_s)
        self._learned = learn(self.layout, learned, {first + slot: values for slot, values in found.items()}, heard)
        return self._learned, recent, heard

    def _heard(self, since_utc_s: float) -> Heard:
        """Forecasts of the weather in force since an instant; what cannot be read is not there."""
        service = self.layout.site.weather_service
        if service is None:
            return NOTHING_HEARD
        try:
            known = heard_since(self._folder, since_utc_s)
        except (sqlite3.Error, ValueError) as error:
            _log.warning("weather.stuck", reason=f"{type(error).__name__}: {error}")
            return NOTHING_HEARD
        return Heard(tuple(known), service.stale_s)

    def proof(self) -> Proof:
        """What is known of the units for a settlement. Raises ValueError when the record of curtailments was changed.

        What a unit gave up for the market's own orders is taken by them, and not curtailed.
        """
        with closing(open_to_read(self._folder)) as db:
            record = Evidence(curtailments(db), MARKET_ORDERS)
        return Proof(record.curtailed_wh, record.taken_wh, self._measured_w)

    def _measured_w(self, unit: str, from_utc_s: float, to_utc_s: float) -> float | None:
        return measured_mean_w(self._folder, unit, from_utc_s, to_utc_s)

    def _follow_clock(self, now_utc_s: float) -> None:
        """The calendar knows when clocks change; where standard time itself does, everything is learned anew."""
        now = calendar_at(now_utc_s, self._zone)
        days_s = (now.midnight_s - self.calendar.midnight_s) % 86_400.0
        if self._learned is None or days_s != 0.0:
            self.calendar, self._learned = now, None


def _out_of_step(behind_s: float) -> str:
    if behind_s > 0.0:
        return (
            f"the history ends {behind_s:.0f} s ago; expected records of the control process in the last {STALE_S:g} s"
        )
    return (
        f"the history ends {-behind_s:.0f} s ahead of this process's clock; expected {RECENT_S:g} s at most: "
        "control process and station go by different clocks"
    )
