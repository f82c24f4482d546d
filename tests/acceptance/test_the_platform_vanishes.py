"""The platform is gone for a while: what was accepted runs out piece by piece, and nothing is lost of what is told."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from day_kit import MIDNIGHT, NAME, DayLoop
from telemetry_kit import Ear, connected
from virtual_time import in_virtual_time

from controller.history.collect import PERIOD_S
from controller.history.store import Store

GRANTED_W, CONTRACT_W = 4.6e6, 4.4e6
NOTHING_WH = 10e3  # of some 8 MWh in an hour: ramps and gusts
OVER_FRAC = 1.005  # a gust between two control cycles, which the demo stretches to 5.8 s


def test_the_export_that_was_granted_goes_on_until_it_expires_and_then_the_contract_holds() -> None:
    day = DayLoop("02:03", outages=(("00:20", "03:00"),)).settled()
    granted_w = [-truth.interface_p_w for truth in day.watched(14.0)]
    assert CONTRACT_W < max(granted_w) < OVER_FRAC * GRANTED_W
    day.run(2.0)  # the grant of 00:20 ends at 02:20
    kept_w = [-truth.interface_p_w for truth in day.watched(38.0)]
    assert 0.97 * CONTRACT_W < max(kept_w) < OVER_FRAC * CONTRACT_W
    assert day.curtailed_wh() < NOTHING_WH  # the order of the battery goes on and takes more


def test_a_battery_of_others_stands_still_from_the_second_its_order_ends_though_nobody_says_so() -> None:
    day = DayLoop("09:20")  # in the scenario's second outage
    ordered_w = [truth.unit_p_w["BAT1"] for truth in day.watched(9.5)]
    assert min(ordered_w) < -1.9e6
    day.run(1.0)  # the order ends at 09:30
    assert {round(truth.unit_p_w["BAT1"] / 1e4) for truth in day.watched(5.0)} == {0}
    assert day.desk.silent(day.world.now_s)


def test_without_a_word_of_any_platform_every_limit_is_kept_and_nothing_of_others_is_moved() -> None:
    day = DayLoop("00:00", outages=(("20:01", "05:00"),), market=False).settled()
    seen = day.watched(10.0)
    assert max(-truth.interface_p_w for truth in seen) < OVER_FRAC * CONTRACT_W
    assert {round(truth.unit_p_w[unit] / 1e4) for truth in seen for unit in ("BAT1", "CESB")} == {0}
    assert all(limit["over_s"] == 0.0 for limit in day.world.score.limits())


def test_a_platform_that_vanished_twice_has_every_period_once_and_in_order_when_it_is_back(tmp_path: Path) -> None:
    with closing(Store(tmp_path, NAME)) as store:
        day = DayLoop("00:30", store=store, outages=(("00:36", "00:44"), ("00:50", "00:58")))
        ear = Ear(day)
        in_virtual_time(connected(day, store, ear, 34.0))
        assert ear.turned_away > 2
        assert ear.twice  # it had them and did not say so: the key tells
        first = int((MIDNIGHT.timestamp() + 1800.0) // PERIOD_S * PERIOD_S)
        starts = ear.starts("samples")
        assert sorted(starts) == [first + k * PERIOD_S for k in range(33)]
        assert len(ear.arrived(historical=True)) > 10
        for historical in (False, True):
            assert ear.arrived(historical) == sorted(ear.arrived(historical))
        assert store.outbox.count() == 0
        orders = ear.events("instruction.accepted")
        assert len([text for text in orders if "order for BAT1-night" in text]) == 2  # at the start, and renewed
        assert not ear.events("instruction.refused")
