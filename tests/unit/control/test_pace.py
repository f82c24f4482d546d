"""Ramps of units and of export, and steps of voltage: releases are slowed, safety never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import core_kit as kit
import numpy as np

from controller.domain.connection import Connection, MoveLimits
from controller.domain.site import Site


def site(**moves: object) -> Site:
    return kit.site(connection=Connection(moves=MoveLimits(**moves)))  # type: ignore[arg-type]


def held_back(of: Site, available: dict[str, float], town_w: float = 1e6) -> kit.Loop:
    """A loop whose export limit has held the generators back for a minute."""
    plant = kit.Plant(of, {"HUB": 0.0, **available}, town_w=town_w)
    plant.soc_frac = 0.95  # full: the battery cannot help
    loop = kit.Loop(plant)
    loop.run(60)
    return loop


def course(loop: kit.Loop, cycles: int, value: Callable[[], float]) -> np.ndarray:
    """``value`` after each of so many cycles."""
    out = []
    for _ in range(cycles):
        loop.run(1)
        out.append(value())
    return np.array(out)


ALL = {"WIND": 8e6, "PV": 6e6}


def generation_w(loop: kit.Loop) -> float:
    return -loop.plant.p_w("WIND") - loop.plant.p_w("PV")


def test_a_unit_is_released_no_faster_than_its_contract_ramp_and_arrives() -> None:
    loop = held_back(site(unit_w_per_s=(("WIND", 20e3), ("PV", 20e3))), ALL)
    before_w = generation_w(loop)
    loop.plant.town_w = 4e6  # room for 3 MW more at once
    p_w = course(loop, 240, lambda: generation_w(loop))
    a_minute_w = 2 * 20e3 * 60.0
    assert (p_w[60:] - p_w[:-60]).max() <= 1.1 * a_minute_w + 0.01 * 14e6
    assert p_w[-1] > before_w + 2.6e6


def test_without_a_ramp_the_same_release_takes_seconds() -> None:
    loop = held_back(site(), ALL)
    before_w = generation_w(loop)
    loop.plant.town_w = 4e6
    loop.run(15)
    assert generation_w(loop) > before_w + 2.6e6


def test_a_trim_is_never_slowed_by_any_of_them() -> None:
    """The same overload is cleared in the same cycles, with and without the slowest of all limits of moves."""
    ramps = (("WIND", 1e3), ("PV", 1e3))
    slow = site(unit_w_per_s=ramps, export_up_w_per_s=1e3, export_down_w_per_s=1e3, voltage_step_frac=1e-4)
    courses = []
    for of in (site(), slow):
        loop = held_back(of, {"WIND": 6e6, "PV": 6e6}, town_w=4e6)
        loop.plant.town_w = 1e6
        assert -loop.plant.truth()["interface.p_w"] > 10e6
        courses.append(course(loop, 12, lambda loop=loop: -loop.plant.truth()["interface.p_w"]))
    assert courses[1][-1] <= 9.05e6
    assert np.all(courses[1] <= courses[0] + 0.03e6)


def test_a_rise_that_relieves_a_limit_is_not_slowed() -> None:
    """Import is over its limit: generation that was held back comes up as if there were no ramp."""
    tight = {"import": 0.5e6, "export": 0.2e6}
    narrow = tuple(replace(x, high=tight.get(x.id, x.high)) for x in kit.limits())
    for moves in (MoveLimits(), MoveLimits(unit_w_per_s=(("WIND", 1e3), ("PV", 1e3)), export_up_w_per_s=1e3)):
        loop = held_back(kit.site(limits=narrow, connection=Connection(moves=moves)), ALL)
        loop.plant.town_w = 4e6
        assert loop.plant.truth()["interface.p_w"] > 2e6
        loop.run(20)
        assert loop.plant.truth()["interface.p_w"] < 0.55e6


def test_export_rises_no_faster_than_its_ramp() -> None:
    loop = held_back(site(export_up_w_per_s=20e3), ALL)
    loop.plant.town_w = 4e6
    loop.run(3)
    export_w = course(loop, 220, lambda: -loop.plant.truth()["interface.p_w"])
    assert (export_w[60:] - export_w[:-60]).max() <= 1.1 * 20e3 * 60.0 + 0.01 * 18e6
    assert export_w[-1] > 8.6e6


def test_voltage_moves_no_more_than_a_step_within_a_minute() -> None:
    moved = {}
    for step_frac in (np.inf, 0.004):
        loop = held_back(site(voltage_step_frac=step_frac), ALL)
        loop.plant.town_w = 4e6
        before_pu = loop.plant.truth()["bus.N2.u_v"] / 11e3
        u_pu = course(loop, 58, lambda loop=loop: loop.plant.truth()["bus.N2.u_v"] / 11e3)
        moved[step_frac] = u_pu.max() - before_pu
    assert moved[0.004] <= 0.0045
    assert moved[np.inf] > 1.3 * moved[0.004]


def test_a_site_that_limits_no_move_thinks_as_if_this_were_not_there() -> None:
    free, unused = held_back(kit.site(), ALL), held_back(site(), ALL)
    assert [s.p_w for s in free.records[-1].setpoints] == [s.p_w for s in unused.records[-1].setpoints]
