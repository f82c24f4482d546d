"""The judge: counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sim_world_kit import site

from simulators.scoring import Score, curtailed_total_wh
from simulators.signals import Signals
from simulators.units.course import Array


def judge() -> tuple[Score, Signals]:
    station = site()
    signals = Signals(station.topology, station.units)
    return Score(station, signals), signals


def row(signals: Signals, **values: float) -> Array:
    out = np.zeros(len(signals.names))
    out[signals.index["bus.N1.u_v"]] = 11e3
    for name, value in values.items():
        out[signals.index[name.replace("__", ".")]] = value
    return out


def test_time_over_a_limit_and_its_longest_spell_are_counted_step_by_step() -> None:
    score, signals = judge()
    for current_a in (300.0, 331.0, 340.0, 330.0, 363.0, 100.0):
        score.count(row(signals, branch__T1__i_a=current_a), 2.0)
    thermal = score.limits()[0]
    assert thermal == {
        "id": "T1.thermal",
        "kind": "thermal",
        "highest_frac": pytest.approx(1.1),
        "over_s": 6.0,
        "longest_over_s": 4.0,
    }


@pytest.mark.parametrize(("u_v", "frac"), [(11e3, 0.0), (11.66e3, 1.0), (10.34e3, 1.0), (11.33e3, 0.5), (9.68e3, 2.0)])
def test_a_voltage_is_scored_by_its_distance_from_the_middle_of_its_band(u_v: float, frac: float) -> None:
    score, signals = judge()
    assert score.fractions(row(signals, bus__N1__u_v=u_v))[1] == pytest.approx(frac)


def test_export_counts_power_that_leaves_and_nothing_else() -> None:
    score, signals = judge()
    assert score.fractions(row(signals, interface__p_w=-1.5e6))[2] == pytest.approx(1.5)
    assert score.fractions(row(signals, interface__p_w=9e6))[2] == 0.0


def test_energy_not_generated_not_charged_and_moved_is_summed_per_unit() -> None:
    score, signals = judge()
    values = {
        "unit__PV__p_w": -0.5e6,
        "unit__PV__p_avail_w": -2e6,
        "unit__BAT__p_w": -1e6,
        "unit__BAT__p_avail_w": math.nan,
        "unit__HUB__p_w": 0.3e6,
        "unit__HUB__p_avail_w": 0.8e6,
    }
    for _ in range(36):
        score.count(row(signals, **values), 100.0)
    solar, battery, hub = score.units()
    assert solar["curtailed_wh"] == pytest.approx(1.5e6)
    assert solar["flexed_wh"] == 0.0
    assert solar["energy_wh"] == pytest.approx(-0.5e6)
    assert (battery["curtailed_wh"], battery["flexed_wh"]) == (0.0, pytest.approx(1e6))
    assert (hub["curtailed_wh"], hub["flexed_wh"]) == (0.0, pytest.approx(0.5e6))
    assert curtailed_total_wh(score, site().units) == pytest.approx(1.5e6)
    assert score.to_dict()["duration_s"] == 3600.0
