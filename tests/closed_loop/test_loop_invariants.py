"""Any history of weather, demand, faults, operators and restarts: what must hold in every single cycle, holds.

A state machine drives the pure core against the small plant of the unit tests. After every cycle the set points are
checked against the units, the leases and the modes; at the end the whole history is thought again.
"""

from __future__ import annotations

import math
import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.instruction import Action, Instruction
from controller.domain.measurement import Measurement, Quality
from controller.domain.owner import Owner
from controller.domain.record import CycleRecord, Mode
from controller.domain.snapshot import Snapshot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "control"))
import core_kit as kit

UTC_S = 1.8e9
POINTS = ("branch.T1", "branch.L1", "interface", "bus.", "unit.WIND", "unit.PV", "unit.BAT", "branch.", "")
HOW = ("missing", "stale", "bad", "nan", "inf", "frozen", "reversed", "thousandfold")
share = st.floats(0.0, 1.0)


class Station(RuleBasedStateMachine):
    """The core, the plant, and everything that happens to both."""

    @initialize(wind=share, sun=share, town_w=st.floats(1e6, 4e6))
    def begin(self, wind: float, sun: float, town_w: float) -> None:
        self.plant = kit.Plant(kit.site(), {"WIND": wind * 8e6, "PV": sun * 6e6, "HUB": 0.5e6}, town_w=town_w)
        self.site = self.plant.site
        self.state = initial_state(self.site)
        self.faults: dict[str, str] = {}
        self.last_good: dict[str, Measurement] = {}
        self.asked: tuple[Instruction, ...] = ()
        self.counter, self.utc_step_s = 0, 0.0
        self.history: list[tuple[bool, Snapshot, bytes]] = []
        self.booted = True

    @rule(seconds=st.integers(4, 20))
    def go_on(self, seconds: int) -> None:
        for _ in range(seconds):
            self._cycle()

    @rule(unit=st.sampled_from(["WIND", "PV", "HUB"]), part=share)
    def weather(self, unit: str, part: float) -> None:
        rated = {"WIND": 8e6, "PV": 6e6, "HUB": 1e6}[unit]
        self.plant.available_w[unit] = part * rated

    @rule(town_w=st.floats(1e6, 4e6))
    def demand(self, town_w: float) -> None:
        self.plant.town_w = town_w

    @rule(points=st.sampled_from(POINTS), how=st.sampled_from(HOW))
    def break_points(self, points: str, how: str) -> None:
        self.faults[points] = how

    @rule()
    def repair(self) -> None:
        self.faults.clear()

    @rule(unit=st.sampled_from(["WIND", "PV", "BAT"]))
    def deafen(self, unit: str) -> None:
        self.plant.deaf.add(unit)

    @rule()
    def hear_again(self) -> None:
        self.plant.deaf.clear()

    @rule(step_s=st.sampled_from([-86400.0, -5.0, 3600.0]))
    def set_the_wall_clock(self, step_s: float) -> None:
        self.utc_step_s += step_s

    @rule(
        action=st.sampled_from([Action.LIMIT, Action.OVERRIDE, Action.BLOCK, Action.HOLD]),
        subject=st.sampled_from(["export", "WIND", "BAT"]),
        value=st.floats(-1e7, 1e7),
        late_s=st.sampled_from([0.0, 5.0, 1e4]),
        replayed=st.booleans(),
    )
    def instruct(self, action: Action, subject: str, value: float, late_s: float, replayed: bool) -> None:
        self.counter += not replayed
        numbered = value if action in (Action.LIMIT, Action.OVERRIDE) else math.nan
        at_s = UTC_S + self.plant.now_s + self.utc_step_s - late_s
        name = f"i{self.counter}"
        self.asked = (Instruction(name, "ann", self.counter, at_s, 60.0, action, subject, numbered, None, "test"),)
        told = self._cycle().events
        if late_s > 60.0:
            assert not [e for e in told if e.name == "instruction.accepted"], "an expired instruction was accepted"

    @rule()
    def restart(self) -> None:
        self.state, self.booted = initial_state(self.site), True

    def _cycle(self) -> CycleRecord:
        snapshot = self._seen()
        self.state, record = step(self.site, self.state, snapshot)
        self.history.append((self.booted, snapshot, pickle.dumps(record)))
        self.booted = False
        self._check(record, snapshot)
        self.plant.command(record)
        self.plant.move(1.0)
        return record

    def _seen(self) -> Snapshot:
        """What the meters say, spoiled by the faults that are there."""
        snapshot = self.plant.snapshot()
        points = {name: m for name, m in ((n, self._spoiled(n, m)) for n, m in snapshot.points.items()) if m}
        asked, self.asked = self.asked, ()
        return Snapshot(snapshot.now_s, points, UTC_S + snapshot.now_s + self.utc_step_s, None, asked)

    def _spoiled(self, name: str, m: Measurement) -> Measurement | None:
        how = next((how for prefix, how in self.faults.items() if name.startswith(prefix)), "")
        last = self.last_good.get(name, m)
        if not how:
            self.last_good[name] = m
        wrong = {"nan": math.nan, "inf": math.inf, "reversed": -m.value, "thousandfold": 1e3 * m.value}
        if how in wrong:
            return Measurement(wrong[how], Quality.GOOD, m.measured_at_s, m.received_at_s)
        if how == "frozen":
            return Measurement(last.value, Quality.GOOD, m.measured_at_s, m.received_at_s)
        quality = {"stale": Quality.STALE, "bad": Quality.BAD}.get(how)
        if quality is not None:
            return Measurement(last.value, quality, last.measured_at_s, m.received_at_s)
        return None if how == "missing" else m

    def _check(self, record: CycleRecord, snapshot: Snapshot) -> None:
        assert not [e for e in record.events if e.name == "guard.clamped"], "the guard had something to refuse"
        for s, unit in zip(record.setpoints, self.site.units, strict=True):
            assert s.unit == unit.id
            assert unit.p_min_w <= s.p_w <= unit.p_max_w, s
            assert abs(s.q_var) <= unit.q_max_var, s
            assert snapshot.now_s < s.expires_at_s <= snapshot.now_s + unit.fail_safe.lease_s + 1e-6, s
            assert s.owner in {o.value for o in Owner}, s
            assert s.causes or s.owner == "dispatch", s
            if record.mode in (Mode.BOOT, Mode.FAIL_SAFE):
                assert abs(s.p_w) <= abs(unit.fail_safe.p_w), f"{s} relaxes in {record.mode}"
        for limit, rated in zip(record.limits, self.site.limits, strict=True):
            assert limit.high <= rated.high
            assert limit.low is None or rated.low is None or limit.low >= rated.low

    def teardown(self) -> None:
        """The same history gives the same records, to the last bit."""
        state = None
        for booted, snapshot, expected in getattr(self, "history", [])[:60]:
            state = initial_state(self.site) if booted or state is None else state
            state, record = step(self.site, state, snapshot)
            assert pickle.dumps(record) == expected


Station.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)
TestStation = Station.TestCase
TestStation.pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")]  # absurd readings overflow
