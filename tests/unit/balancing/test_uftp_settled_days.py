"""An order over a whole day of 23 or 25 hours is settled period by period: none is lost, none counts twice."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uftp_kit as kit

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.rounds import Rounds
from controller.balancing.uftp.values import Day, Order
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import Calendar
from controller.planning.settlement import Proof


class OneOrder:
    """A desk with one order of the whole day that was taken; prognosis 1 MW of generation, nobody sends metering."""

    def __init__(self, period: date) -> None:
        self.market = kit.market()
        self.day = Day(period, 900, kit.ZONE, kit.POINT)
        self.told: list[Any] = []

    def orders(self, period: date) -> list[tuple[Any, Order]]:
        change_w = dict.fromkeys(range(1, self.day.isps + 1), 4e5)
        order = Order(self.day, "O-1", "F-1", None, 100.0, "EUR", 1.0, change_w)
        return [(SimpleNamespace(recipient=kit.AGR, answer="accepted"), order)]

    def baseline_w(self, _who: str, _period: date) -> dict[int, float]:
        return dict.fromkeys(range(1, self.day.isps + 1), -1e6)

    def metered_w(self, _who: str, _period: date) -> dict[int, float]:
        return {}

    def settled(self, _who: str, _period: date) -> bool:
        return bool(self.told)

    def settle(self, _who: str, settled: Any, _now_utc_s: float) -> None:
        self.told.append(settled)


@pytest.mark.parametrize(
    ("period", "isps"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 6, 15), 96)]
)
def test_every_period_of_the_day_is_measured_and_paid_once(period: date, isps: int) -> None:
    site = load_site(find_site("demo_primary"))
    desk, spans = OneOrder(period), []

    def measured(_unit: str, from_s: float, to_s: float) -> float:
        spans.append((from_s, to_s))
        return -6e5

    rounds = Rounds(cast(Desk, desk), Layout(site, GridModel(site.topology)), Calendar(), 200.0)
    proof = Proof(lambda *_: 0.0, lambda *_: 0.0, measured)
    (settled,) = rounds.settle(period, proof, desk.day.start_utc_s + 2e5)
    assert settled.result is not None
    assert [one.isp for one in settled.result.periods] == list(range(1, isps + 1))
    assert spans == [(desk.day.start_utc_s + 900.0 * k, desk.day.start_utc_s + 900.0 * (k + 1)) for k in range(isps)]
    assert settled.result.net_eur == pytest.approx(100.0)
    assert rounds.settle(period, proof, desk.day.start_utc_s + 3e5) == []
