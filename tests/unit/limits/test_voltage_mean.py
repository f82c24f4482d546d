"""Ten-minute means: the band narrows just enough that no window ends outside, whatever the voltage did before."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.connection import Connection, MeanBand
from controller.domain.record import Event
from controller.domain.snapshot import Snapshot
from controller.limits.in_force import Arbiter, InForce, Situation
from controller.limits.voltage_mean import GUARD_PU, WINDOW_S, VoltageMeanReason, Window

NOMINAL_V = 11e3
LOW_V, HIGH_V = 0.97 * NOMINAL_V, 1.03 * NOMINAL_V  # fast band of the kit: ±6 %
SITE = kit.site(connection=Connection(mean_bands=(MeanBand("N1.voltage", LOW_V, HIGH_V),)))
N1 = 3  # index of its limit
REASON, ARBITER = VoltageMeanReason(SITE), Arbiter(SITE.limits)
START_S = 1.8e9  # a multiple of 600 s


def look(
    memory: Window, at_s: float, u_v: float, utc_s: float = math.nan, age_s: float = 0.0, sigma_v: float = 0.0
) -> tuple[Window, InForce, list[Event]]:
    """One look at a bus voltage."""
    estimate = SimpleNamespace(bus_u_v=np.full(4, u_v), bus_age_s=np.full(4, age_s), bus_sigma_v=np.full(4, sigma_v))
    situation = Situation(Snapshot(at_s, {}, utc_s), estimate)  # type: ignore[arg-type]
    memory, proposals, events = REASON.propose(memory, situation)
    return memory, ARBITER.narrow(proposals), list(events)


def course(
    voltage: Callable[[float, float, float], float], seconds: int, first_s: float = START_S
) -> tuple[list[float], list[InForce], list[Event]]:
    """Voltages at 1 s when ``voltage(t, low, high)`` is told the band in force; first look at ``first_s`` (UTC)."""
    memory, values, bands, events = REASON.initial(0.0), [], [], []
    high_v, low_v = HIGH_V, LOW_V
    for t in range(seconds):
        u_v = voltage(t, low_v, high_v)
        memory, found, told = look(memory, float(t), u_v, first_s + t)
        high_v, low_v = float(found.high[N1]), float(found.low[N1])
        values.append(u_v)
        bands.append(found)
        events += told
    return values, bands, events


def test_a_voltage_inside_the_mean_band_leaves_the_fast_band_alone_once_there_is_a_reserve() -> None:
    _, bands, events = course(lambda *_: NOMINAL_V, 1200)
    assert bands[300].high[N1] == pytest.approx(1.06 * NOMINAL_V, rel=0.001)
    assert bands[400].cause[N1] == "rating"
    assert not events


def test_a_short_rise_within_the_reserve_is_allowed() -> None:
    values, bands, _ = course(lambda t, *_: (1.05 if 400 <= t < 430 else 1.0) * NOMINAL_V, 600)
    assert all(u <= b.high[N1] for u, b in zip(values[400:430], bands[400:430], strict=True))


def test_who_follows_the_band_ends_every_window_inside() -> None:
    values, bands, events = course(lambda *band: min(1.06 * NOMINAL_V, band[2]), 1800)
    means = [np.mean(values[k : k + 600]) for k in (0, 600, 1200)]
    assert max(means) <= HIGH_V + 0.05
    assert min(means) > HIGH_V - 2.0 * GUARD_PU * NOMINAL_V
    assert "voltage_mean" in bands[1000].cause[N1]
    assert not events


def test_the_same_holds_at_the_lower_edge() -> None:
    values, _, events = course(lambda *band: max(0.94 * NOMINAL_V, band[1]), 1200)
    assert min(np.mean(values[:600]), np.mean(values[600:])) >= LOW_V - 0.05
    assert not events


def test_the_windows_are_those_of_the_clock() -> None:
    _, bands, _ = course(lambda *_: NOMINAL_V, 700, first_s=START_S + 250.0)
    assert bands[340].cause[N1] == "rating"  # 590 s into the first window
    assert bands[351].cause[N1] == "voltage_mean"  # a new one: no reserve yet


def test_what_was_not_seen_before_the_start_counts_as_spent_at_the_edge() -> None:
    _, bands, _ = course(lambda *_: NOMINAL_V, 2, first_s=START_S + 500.0)
    assert bands[0].high[N1] == pytest.approx(HIGH_V - GUARD_PU * NOMINAL_V)


def test_a_mean_that_left_its_band_is_told_once_with_its_value() -> None:
    _, _, events = course(lambda *_: 1.04 * NOMINAL_V, 1300)
    assert [(e.name, e.subject) for e in events] == [("voltage.mean_left", "N1.voltage")] * 2
    assert "11440" in events[0].text


def test_a_lost_window_costs_no_more_than_a_quarter_of_the_band() -> None:
    _, bands, _ = course(lambda *_: 1.06 * NOMINAL_V, 599)
    assert bands[-1].high[N1] == pytest.approx(HIGH_V - 0.25 * (HIGH_V - LOW_V))


def test_a_voltage_that_nobody_measures_counts_as_its_worst() -> None:
    fresh, blind = REASON.initial(0.0), REASON.initial(0.0)
    for t in range(300):
        fresh, seen, _ = look(fresh, float(t), 1.01 * NOMINAL_V, START_S + t, sigma_v=50.0)
        blind, unseen, _ = look(blind, float(t), 1.01 * NOMINAL_V, START_S + t, age_s=100.0, sigma_v=50.0)
    assert unseen.high[N1] < seen.high[N1]


def test_a_clock_that_steps_gives_no_reserve() -> None:
    memory = REASON.initial(0.0)
    for t in range(200):
        memory, before, _ = look(memory, float(t), NOMINAL_V, START_S + t)
    assert before.high[N1] > HIGH_V
    _, after, _ = look(memory, 200.0, NOMINAL_V, START_S + 450.0)
    assert after.high[N1] <= HIGH_V


@given(st.lists(st.floats(0.9, 1.1), min_size=60, max_size=60))
def test_no_course_makes_the_band_wider_than_the_fast_one_or_turns_it_round(levels: list[float]) -> None:
    memory = REASON.initial(0.0)
    for k, level in enumerate(levels):
        memory, found, _ = look(memory, 10.0 * k, level * NOMINAL_V, START_S + 10.0 * k)
        assert 0.94 * NOMINAL_V <= found.low[N1] < found.high[N1] <= 1.06 * NOMINAL_V
    assert memory.number == math.floor((START_S + 590.0) / WINDOW_S)
