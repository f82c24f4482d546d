"""A tangent of a thermal limit is left out only where no outputs of the units could come near it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.engine import Engine
from controller.estimation.estimate import Estimate
from controller.limits import thermal
from controller.limits.base import Rows
from controller.limits.in_force import Arbiter
from controller.limits.thermal import TANGENTS_DEG, UNREACHED, ThermalLimits

UNITS = (
    kit.unit("WIND", kit.UnitKind.WIND, "N1", 1.5e6),
    kit.unit("PV", kit.UnitKind.PV, "N2", 1e6),
    kit.unit("BAT", kit.UnitKind.BATTERY, "N1", 0.5e6),
    kit.unit("AT_SOURCE", kit.UnitKind.PV, "GRID", 5e6),
)
SITE = kit.site(UNITS)


@pytest.fixture(scope="module")
def seen() -> tuple[Engine, Estimate]:
    loop = kit.Loop(kit.Plant(SITE, {"WIND": 0.9e6, "PV": 0.5e6, "AT_SOURCE": 1e6}))
    loop.run(10)
    engine = loop.state.engine
    assert loop.state.estimator is not None
    _, estimate = engine.estimator.update(
        loop.state.estimator, loop.plant.snapshot(), loop.state.history, loop.state.held
    )
    return engine, estimate


def rows_of(estimate: Estimate, monkeypatch: pytest.MonkeyPatch, unreached: float) -> Rows:
    monkeypatch.setattr(thermal, "UNREACHED", unreached)
    return ThermalLimits(SITE).evaluate(estimate, Arbiter(SITE.limits).narrow(()))


def test_what_is_left_out_is_never_reached_and_the_present_direction_always_kept(
    seen: tuple[Engine, Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, estimate = seen
    every, kept = rows_of(estimate, monkeypatch, np.inf), rows_of(estimate, monkeypatch, UNREACHED)
    limits = len(ThermalLimits(SITE).index)
    assert len(every.room) == limits * len(TANGENTS_DEG)
    assert limits <= len(kept.room) < len(every.room)
    assert kept.main.sum() == limits
    left_out = np.array([not (np.abs(kept.sensitivity - row).sum(axis=1) < 1e-30).any() for row in every.sensitivity])
    assert left_out.sum() == len(every.room) - len(kept.room)
    corners = itertools.product(*((u.p_min_w, u.p_max_w) for u in UNITS), *((-u.q_max_var, u.q_max_var) for u in UNITS))
    for corner in corners:
        p, q = np.split(np.array(corner), 2)
        moved = np.concatenate(
            [engine.layout.incidence @ (p - estimate.unit_p_w), engine.layout.incidence @ (q - estimate.unit_q_var)]
        )
        assert (every.sensitivity[left_out] @ moved <= every.room[left_out] - UNREACHED).all()


def test_nothing_is_left_out_where_units_are_large_against_the_rating(
    seen: tuple[Engine, Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, estimate = seen
    tight = replace(SITE, limits=tuple(replace(x, high=20.0, rated=None) for x in SITE.limits[1:2]))
    monkeypatch.setattr(thermal, "UNREACHED", UNREACHED)
    rows = ThermalLimits(tight).evaluate(estimate, Arbiter(tight.limits).narrow(()))
    assert len(rows.room) == len(TANGENTS_DEG)
