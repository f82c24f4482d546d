"""What a solar farm has sold, against the simulated substation: what the true plant gave and what was taken of it."""

from __future__ import annotations

from loop_kit import START_UP_S, ClosedLoop

from controller.clock import utc_s
from controller.domain.instruction import Action, Instruction
from controller.domain.owner import Owner
from controller.domain.record import UnitState

SEED = 3
SOLD = "PVB"
DESK = "flexibility:dso"


class Sale:
    """Part of the day's noon, and a desk that buys of one farm for ``lasts_s`` after the start."""

    def __init__(self, start_h: float, above_w: float, lasts_s: float) -> None:
        self.loop = ClosedLoop("a_day_in_the_life", start_h, SEED, with_faults=False).run(120)
        issued_s = utc_s(self.loop.loop.clock)
        asked = Instruction(
            "order", DESK, 1, issued_s, lasts_s, Action.RESERVE, SOLD, above_w, reason="test", owner=Owner.FLEXIBILITY
        )
        self.answers: list[tuple[bool, str]] = []
        self.loop.loop.desk.submit(asked, lambda *said: self.answers.append(said))
        self.begun_wh = self.curtailed_wh()

    def curtailed_wh(self) -> dict[str, float]:
        """By the plant's own count."""
        return {unit["id"]: float(unit["curtailed_wh"]) for unit in self.loop.world.score.units()}

    def lost_wh(self) -> dict[str, float]:
        """Since the last look."""
        before, self.begun_wh = self.begun_wh, self.curtailed_wh()
        return {name: wh - before[name] for name, wh in self.begun_wh.items()}

    def state(self) -> UnitState:
        return next(u for u in self.loop.records[-1].units if u.id == SOLD)


def test_nothing_of_what_was_sold_is_taken_while_no_limit_binds() -> None:
    sale = Sale(11.9, above_w=0.5e6, lasts_s=600.0)
    sale.loop.run(300)
    assert [accepted for accepted, _ in sale.answers] == [True]
    assert sale.loop.world.truth().unit_p_w[SOLD] < -1e6, "there is something to take"
    assert set(sale.lost_wh().values()) == {0.0}, f"seed {SEED}"
    assert sale.state().withheld == ()
    assert sale.state().causes == ()


def test_what_was_sold_is_taken_for_a_limit_before_anybody_else_and_not_after_the_order() -> None:
    sale = Sale(12.2, above_w=0.0, lasts_s=400.0)
    sale.loop.run(180)
    sale.lost_wh()
    sale.loop.run(180)
    lost = sale.lost_wh()
    assert lost[SOLD] > 0.95 * sum(lost.values()) > 20e3, f"seed {SEED}: {lost}"
    assert [part.cause for part in sale.state().withheld] == ["flexibility:order"]
    assert sale.state().causes[0] == "export"

    sale.loop.run(160)  # the order ends, the need does not
    sale.lost_wh()
    sale.loop.run(120)
    lost = sale.lost_wh()
    assert lost["WIND1"] > 0.8 * sum(lost.values()) > 10e3, f"seed {SEED}, the cheapest gives way: {lost}"
    assert not any("flexibility" in part.cause for part in sale.state().withheld)
    assert sale.loop.observer.over_after(START_UP_S) == {}
