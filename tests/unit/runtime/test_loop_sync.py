"""The closed loop in virtual time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from runtime_stubs import ACKNOWLEDGED, StubCore, good, make_device, make_site, make_unit, pv_site

from controller.clock import ManualClock
from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement
from controller.domain.record import CycleRecord
from controller.runtime.loop_sync import VirtualLoop, run_virtual


class ScriptedField:
    """Answers with the instant of the poll; refuses to be written while ``deaf``."""

    def __init__(self) -> None:
        self.polls: list[tuple[str, float]] = []
        self.writes: list[tuple[str, Mapping[str, float], float]] = []
        self.deaf = False

    def poll(self, device_id: str, now_s: float) -> Mapping[str, Measurement]:
        self.polls.append((device_id, round(now_s, 6)))
        return {} if self.deaf else {"p_w": good(now_s, now_s)}

    def write(
        self, device_id: str, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]
    ) -> Outcome:
        self.writes.append((device_id, values, lease_s))
        return Outcome(OutcomeState.FAILED, "no answer") if self.deaf else ACKNOWLEDGED


def nothing(_: object) -> None:
    """A world that stands still, or a reader that does not care."""


def test_devices_are_polled_and_cycles_run_at_their_own_periods() -> None:
    site = make_site((), (make_device("fast", {}, poll_s=0.5), make_device("slow", {}, poll_s=2.0)), cycle_s=1.0)
    field, records = ScriptedField(), list[CycleRecord]()
    loop = run_virtual(site, field, nothing, 4.0, 0.1, on_record=records.append, step=StubCore().step, state=0)
    assert [at for name, at in field.polls if name == "fast"] == [0.5 * k for k in range(8)]
    assert [at for name, at in field.polls if name == "slow"] == [0.0, 2.0]
    assert [round(record.now_s, 6) for record in records] == [0.0, 1.0, 2.0, 3.0]
    assert (loop.state, loop.counts.cycles, loop.counts.polls) == (4, 4, 10)


def test_a_cycle_sees_what_was_polled_in_the_same_instant() -> None:
    core = StubCore()
    run_virtual(pv_site(), ScriptedField(), nothing, 3.0, 1.0, on_record=nothing, step=core.step, state=0)
    assert [snapshot.get("interface.p_w").value for snapshot in core.snapshots] == [0.0, 1.0, 2.0]


def test_the_world_moves_after_the_decision_and_by_the_step_that_was_asked_for() -> None:
    log: list[object] = []
    run_virtual(
        pv_site(),
        ScriptedField(),
        log.append,
        1.0,
        0.5,
        on_record=lambda record: log.append(record.seq),
        step=StubCore().step,
        state=0,
    )
    assert log == [0, 0.5, 0.5]


def test_a_steady_set_point_is_refreshed_every_third_of_its_lease() -> None:
    field = ScriptedField()
    run_virtual(pv_site(), field, nothing, 12.0, 1.0, on_record=nothing, step=StubCore().step, state=0)
    assert [name for name, _, _ in field.writes] == ["inverter"] * 4
    assert field.writes[0][1:] == ({"generation_w_max": 50e3, "q_var": 0.0}, 9.0)


def test_a_failed_write_is_repeated_every_cycle_and_counted() -> None:
    field = ScriptedField()
    field.deaf = True
    loop = run_virtual(pv_site(), field, nothing, 5.0, 1.0, on_record=nothing, step=StubCore().step, state=0)
    assert len(field.writes) == 5
    assert (loop.counts.writes_failed, loop.counts.polls_failed) == (5, 10)


def test_a_loop_can_be_stopped_safely() -> None:
    field = ScriptedField()
    loop = VirtualLoop(make_site((make_unit(),), (make_device("d", {}, "pv1"),)), field, StubCore().step, 0)
    loop.write_safe()
    assert field.writes == [("d", {"generation_w_max": 20e3, "q_var": 0.0}, 9.0)]


def test_a_clock_that_has_already_run_is_gone_on_with() -> None:
    clock, records = ManualClock(100.0), list[CycleRecord]()
    run_virtual(
        pv_site(),
        ScriptedField(),
        nothing,
        2.0,
        1.0,
        on_record=records.append,
        step=StubCore().step,
        state=0,
        clock=clock,
    )
    assert [record.now_s for record in records] == [100.0, 101.0]
    assert clock.now_s() == 102.0


@pytest.mark.parametrize("dt_s", [0.0, -1.0, float("nan")])
def test_a_step_that_goes_nowhere_is_refused(dt_s: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        run_virtual(pv_site(), ScriptedField(), nothing, 1.0, dt_s, on_record=nothing, step=StubCore().step, state=0)
