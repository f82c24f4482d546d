"""Readings that are older than they say: whose, by how much, and what the loop makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from late_kit import NETWORK, UNITS, late, loop, restless
from lying_kit import Lying, factor

from controller.estimation.lateness import Lateness


def watched(run: Lying) -> Lateness:
    memory = run.state.estimator
    assert memory is not None
    return memory.lateness


@pytest.mark.parametrize("delay_s", [1.0, 5.0])
def test_late_readings_of_all_units_are_found_with_their_age(delay_s: float) -> None:
    run = loop(late(UNITS, delay_s))
    restless(run, 90)
    moving = [k for k, u in enumerate(run.plant.site.units) if u.id in ("WIND", "PV")]
    assert np.abs(watched(run).unit_s[moving] - delay_s).max() < 0.5
    assert watched(run).network_s == 0.0
    assert {who for _, who in run.events("meter.late")} >= {"unit.WIND", "unit.PV"}


@pytest.mark.parametrize("delay_s", [2.0])
def test_a_network_whose_meters_are_late_is_told_from_units_that_are(delay_s: float) -> None:
    run = loop(late(NETWORK, delay_s))
    restless(run, 90)
    assert watched(run).network_s == pytest.approx(delay_s, abs=0.5)
    assert not watched(run).unit_s.any()
    assert [who for _, who in run.events("meter.late")] == ["network"]


def test_one_late_unit_is_named_alone() -> None:
    run = loop(late(("unit.WIND.",), 3.0))
    restless(run, 90)
    assert {who for _, who in run.events("meter.late")} == {"unit.WIND"}


def test_units_that_become_punctual_and_move_are_taken_as_punctual_again() -> None:
    lie = late(UNITS, 2.0)
    run = loop(lambda point, value, now_s: lie(point, value, now_s) if now_s < 90.0 else value)
    restless(run, 240)
    moving = {"unit.WIND", "unit.PV"}
    assert moving <= {who for _, who in run.events("meter.late")}
    assert moving <= {who for _, who in run.events("meter.punctual")}
    assert not watched(run).unit_s[[u.id in ("WIND", "PV") for u in run.plant.site.units]].any()


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_who_is_punctual_is_called_late(seed: int) -> None:
    print(f"seed {seed}")
    run = loop(lambda _, value, __: value)
    restless(run, 150, seed)
    assert not run.events("meter.late")


@pytest.mark.parametrize("lie", [factor("unit.PV", -1.0), factor("branch.T1", -1.0), factor("unit.WIND", 0.0, 30.0)])
def test_wrong_signs_and_frozen_meters_prove_no_lateness(lie: object) -> None:
    run = loop(lie)  # type: ignore[arg-type]
    restless(run, 120)
    assert not run.events("meter.late")


@pytest.mark.parametrize("beginnings", [UNITS, NETWORK])
def test_limits_are_kept_behind_readings_that_are_two_seconds_late(beginnings: tuple[str, ...]) -> None:
    run = loop(late(beginnings, 2.0))
    restless(run, 150)
    assert max(run.worst_frac) < 1.01
    punctual = loop(lambda _, value, __: value)
    restless(punctual, 150)
    assert np.mean(run.worst_frac) > 0.9 * np.mean(punctual.worst_frac)  # kept, and used as before
