"""Reasons to restrict against the simulated substation: what the true plant does, not what the controller says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from loop_kit import ClosedLoop, set_power

from controller.clock import utc_s
from controller.domain.connection import Connection, G100Settings, MeanBand
from controller.domain.instruction import Action, Instruction
from controller.domain.record import Event
from simulators.faults import FaultKind

SEED = 2


def say(loop: ClosedLoop, action: Action, subject: str, value: float, lasts_s: float, counter: int) -> list[bool]:
    """Give an instruction to the next cycle; the answer arrives in the list."""
    issued_s, heard = utc_s(loop.loop.clock), []
    asked = Instruction(f"i{counter}", "ann", counter, issued_s, lasts_s, action, subject, value, reason="test")
    loop.loop.desk.submit(asked, lambda *said: heard.append(said[0]))
    return heard


def import_w(loop: ClosedLoop) -> float:
    return loop.world.truth().interface_p_w


def limit_w(loop: ClosedLoop) -> float:
    return next(x.high for x in loop.site.limits if x.id == "import")


def events(loop: ClosedLoop, prefix: str) -> list[Event]:
    return [e for r in loop.records for e in r.events if e.name.startswith(prefix)]


def test_an_operator_s_import_limit_is_kept_by_the_plant_and_ends_by_itself() -> None:
    loop = ClosedLoop("ev_charging", 18.0, SEED, with_faults=False).run(120)
    heard = say(loop, Action.LIMIT, "import", 250e3, 180.0, 1)
    loop.run(40)
    seen: list[float] = []
    loop.run(135, lambda: seen.append(import_w(loop)))
    assert heard == [True]
    assert max(seen) <= 250e3 * 1.01
    loop.run(120)
    assert import_w(loop) > 300e3
    assert [e.name for e in events(loop, "instruction.")] == ["instruction.accepted", "instruction.expired"]


def test_a_battery_that_an_operator_sets_gives_way_to_the_import_limit_only() -> None:
    loop = ClosedLoop("ev_charging", 18.0, SEED, with_faults=False).run(120)
    say(loop, Action.OVERRIDE, "BAT", 100e3, 300.0, 1)
    loop.run(30)
    battery = next(u for u in loop.site.units if u.id == "BAT")
    assert set_power(loop, battery)[0] == pytest.approx(100e3, rel=0.02)
    worst: list[float] = []
    loop.run(120, lambda: worst.append(import_w(loop)))
    assert max(worst) <= 1.01 * limit_w(loop)


def test_hubs_that_obey_nobody_lock_the_import_scheme_out_and_all_stay_safe_until_an_installer_says_so() -> None:
    """The battery has made room for the hubs; then it is switched off by hand and they hear nothing any more."""
    connection = Connection(g100=G100Settings(installers=frozenset({"ann"})))
    loop = ClosedLoop("ev_charging", 18.0, SEED, with_faults=False, connection=connection).run(90)
    say(loop, Action.OVERRIDE, "BAT", -150e3, 60.0, 1)
    loop.run(60)
    devices = {d.unit: d.id for d in loop.site.devices if d.unit is not None}
    for unit_id in ("HUB1", "HUB2"):
        loop.inject(FaultKind.DEAF, devices[unit_id], for_s=120.0)
    say(loop, Action.BLOCK, "BAT", math.nan, 600.0, 2)
    over: list[bool] = []
    loop.run(70, lambda: over.append(import_w(loop) > limit_w(loop)))
    assert sum(over) > 60
    assert [e.name for e in events(loop, "g100.")] == ["g100.excursion", "g100.locked"]
    loop.run(110)
    safe_w = {u.id: u.fail_safe.p_w for u in loop.site.units if u.kind.consumes}
    told = {s.unit: s for s in loop.records[-1].setpoints}
    assert {unit_id: told[unit_id].p_w for unit_id in safe_w} == pytest.approx(safe_w)
    assert {told[unit_id].owner for unit_id in safe_w} == {"g100"}
    assert import_w(loop) < 0.6 * limit_w(loop)
    heard = say(loop, Action.RESET_G100, "import", math.nan, 60.0, 3)
    loop.run(60)
    assert heard == [True]
    assert import_w(loop) > 0.8 * limit_w(loop)


def test_ten_minute_means_stay_in_their_band_while_fast_values_use_what_is_left() -> None:
    """Solar noon lifts N3 over its mean band if it may; after the first whole window no mean is outside."""
    bands = (MeanBand("N3.voltage", 0.96 * 11e3, 1.04 * 11e3),)
    loop = ClosedLoop("demo_primary", 11.5, SEED, with_faults=False, connection=Connection(mean_bands=bands))
    seen: list[float] = []
    loop.run(1200, lambda: seen.append(loop.world.truth().bus_u_v["N3"]))
    means = np.array(seen).reshape(2, 600).mean(axis=1)
    assert (means <= 1.04 * 11e3 * 1.0005).all(), f"seed {SEED}: {means}"
    assert any(x.cause == "voltage_mean" and x.binding for r in loop.records for x in r.limits)
