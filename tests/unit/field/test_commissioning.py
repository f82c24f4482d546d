"""What commissioning concludes about devices that obey, dawdle, let go, hold on or refuse."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from controller.clock import ManualClock
from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality, missing
from controller.domain.site import Device
from controller.domain.unit import Actuator, FailSafe, Unit, UnitKind
from controller.field.commission import Commissioning, Measured, trial_set_point, unclear, why_not
from controller.field.commission_record import as_text, compare, digest, record
from controller.field.step_response import Sample, Silence, analyse_silence, analyse_step

DEVICE = Device("D1", "modbus", "10.0.0.9:502", 1, "inverter", {}, "PV1", 0.5, 3.0, 0.8)
UNIT = Unit(
    id="PV1",
    bus="B",
    kind=UnitKind.PV,
    p_rated_w=100e3,
    s_rated_va=110e3,
    q_max_var=0.0,
    p_min_w=-100e3,
    p_max_w=0.0,
    price_eur_per_mwh=50.0,
    stack_position=0,
    group="",
    reports_available=False,
    actuator=Actuator(1.0, 1.0, 1.0, 10e3, 10e3),
    fail_safe=FailSafe(-10e3, 0.0, 6.0),
)
ABOUT = {"site": "s", "by": "A. Engineer", "version": "1", "site_sha256": "0", "utc": "2026-01-01T12:00:00+00:00"}


class Inverter:
    """80 kW of sun behind a cap that acts after ``delay_s``; ``silence`` is what it does when left alone."""

    id = "D1"

    def __init__(
        self,
        clock: ManualClock,
        silence: str,
        *,
        delay_s: float = 0.5,
        refuses: bool = False,
        gone: tuple[float, float] = (math.inf, math.inf),
        deaf_from_s: float = math.inf,
    ) -> None:
        self._clock = clock
        self._silence = silence
        self._delay_s = delay_s
        self._refuses = refuses
        self._gone = gone
        self._deaf_from_s = deaf_from_s
        self.cap_w = math.nan
        self.lease_until_s = math.inf
        self.revert_w = math.nan
        self.written_at_s = 0.0
        self.p_w, self.at_s = -80e3, 0.0
        self.caps: list[float] = []

    async def poll(self) -> Mapping[str, Measurement]:
        now_s = self._clock.now_s()
        if self._is_gone():
            return dict.fromkeys(("p_w", "p_set_w"), missing(now_s, "no answer within the time-out"))
        if now_s > self.lease_until_s:
            self.cap_w = {"reverts_to_value": self.revert_w, "fails_open": math.nan}.get(self._silence, self.cap_w)
        target_w = -80e3 if math.isnan(self.cap_w) else -min(80e3, self.cap_w)
        if now_s - self.written_at_s > self._delay_s:
            most_w = 10e3 * (now_s - self.at_s)
            self.p_w += max(-most_w, min(most_w, target_w - self.p_w))
        self.at_s = now_s
        shown = Measurement(-self.cap_w, Quality.GOOD, now_s, now_s)
        none = Measurement(math.nan, Quality.MISSING, now_s, now_s, "no limit active")
        return {
            "p_w": Measurement(self.p_w, Quality.GOOD, now_s, now_s),
            "p_set_w": none if math.isnan(self.cap_w) else shown,
        }

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        if self._refuses:
            return Outcome(OutcomeState.REFUSED, "exception 1 illegal function")
        if self._is_gone():
            return Outcome(OutcomeState.FAILED, "no answer within the time-out")
        if self._clock.now_s() >= self._deaf_from_s:
            return Outcome(OutcomeState.ACKNOWLEDGED)
        self.cap_w, self.revert_w = values["generation_w_max"], revert["generation_w_max"]
        if not self.caps or self.caps[-1] != self.cap_w:
            self.written_at_s = self._clock.now_s()
        self.caps.append(self.cap_w)
        self.lease_until_s = self._clock.now_s() + lease_s
        return Outcome(OutcomeState.ACKNOWLEDGED)

    async def aclose(self) -> None: ...

    def _is_gone(self) -> bool:
        return self._gone[0] <= self._clock.now_s() < self._gone[1]


def commissioned(silence: str, *, may_write: bool = True, **more: object) -> tuple[Measured, Inverter]:
    clock = ManualClock()
    inverter = Inverter(clock, silence, **more)  # type: ignore[arg-type]

    async def sleep(site_s: float) -> None:
        clock.advance(site_s)

    steps = Commissioning(DEVICE, UNIT, inverter, clock, lambda _: None, sleep)
    return asyncio.run(steps.run(may_write=may_write, commands=frozenset({"generation_w_max"}))), inverter


@pytest.mark.parametrize("silence", ["reverts_to_value", "holds_last", "fails_open"])
def test_what_a_device_does_when_we_fall_silent_is_seen(silence: str) -> None:
    measured, _ = commissioned(silence)
    assert measured.silence is not None
    assert measured.silence.behaviour == silence
    verdicts = {finding.what: finding.verdict for finding in compare(DEVICE, UNIT, measured, silence)}
    assert set(verdicts.values()) == {"agrees"}, verdicts


def test_a_device_that_does_not_do_what_its_profile_says_is_told() -> None:
    measured, _ = commissioned("fails_open")
    (finding,) = [f for f in compare(DEVICE, UNIT, measured, "reverts_to_value") if f.what == "when we fall silent"]
    assert (finding.measured, finding.expected, finding.verdict) == ("fails_open", "reverts_to_value", "differs")


def test_the_unit_is_only_ever_moved_towards_less_and_left_at_its_fail_safe_set_point() -> None:
    _, inverter = commissioned("reverts_to_value")
    assert set(inverter.caps) == {40e3, 10e3}
    assert inverter.caps[-1] == 10e3


def test_without_consent_nothing_is_written() -> None:
    measured, inverter = commissioned("reverts_to_value", may_write=False)
    assert inverter.caps == []
    assert measured.notes == ["nothing was written: --yes-write was not given"]
    found = compare(DEVICE, UNIT, measured, "reverts_to_value")
    assert {finding.verdict for finding in found} == {"agrees", "not measured"}


def test_a_slow_device_differs_from_its_site_file() -> None:
    measured, _ = commissioned("reverts_to_value", delay_s=6.0)
    (finding,) = [f for f in compare(DEVICE, UNIT, measured, "reverts_to_value") if f.what.startswith("first movement")]
    assert finding.verdict == "differs"


def left_of(measured: Measured) -> tuple[str, str]:
    """What the record says of the set point that the device was left with."""
    (finding,) = [f for f in compare(DEVICE, UNIT, measured, "holds_last") if f.what.startswith("left at")]
    return finding.measured, finding.verdict


def test_a_device_that_dies_while_we_are_silent_is_not_said_to_hold_and_not_said_to_be_safe() -> None:
    measured, _ = commissioned("holds_last", gone=(30.0, math.inf))
    assert measured.silence == Silence("unclear", pytest.approx(math.nan, nan_ok=True))
    assert left_of(measured) == ("NOT acknowledged", "differs")
    assert any(note.startswith("NOT LEFT SAFE, see to it: write generation_w_max 10000") for note in measured.notes)
    assert measured.wrote[-1].endswith("failed (17 times)")


def test_a_device_that_comes_back_within_its_lease_is_left_safe_after_all() -> None:
    measured, inverter = commissioned("holds_last", gone=(30.0, 50.0))
    assert left_of(measured) == ("read back", "agrees")
    assert inverter.caps[-1] == 10e3
    assert not any("NOT LEFT SAFE" in note for note in measured.notes)


def test_a_device_that_acknowledges_its_last_set_point_and_does_not_take_it_is_told() -> None:
    measured, _ = commissioned("holds_last", deaf_from_s=30.0)
    assert left_of(measured) == ("acknowledged, and another one is shown", "differs")


def test_a_trial_that_is_broken_off_leaves_the_unit_safe_and_says_so_in_its_record() -> None:
    clock = ManualClock()
    inverter = Inverter(clock, "holds_last")

    async def sleep(site_s: float) -> None:
        clock.advance(site_s)
        if clock.now_s() > 15.0 and not task.cancelling():
            task.cancel()
        await asyncio.sleep(0)

    async def broken_off() -> Commissioning:
        nonlocal task
        steps = Commissioning(DEVICE, UNIT, inverter, clock, lambda _: None, sleep)
        task = asyncio.ensure_future(steps.run(may_write=True, commands=frozenset({"generation_w_max"})))
        await asyncio.wait((task,))
        assert task.cancelled()
        return steps

    task: asyncio.Task[Measured]
    steps = asyncio.run(broken_off())
    assert steps.found is not None
    assert (steps.found.step, steps.found.silence) == (None, None)
    assert steps.found.left == "read back"
    assert inverter.caps[-1] == 10e3


def test_a_refused_write_ends_the_trial_and_is_quoted() -> None:
    measured, _ = commissioned("reverts_to_value", refuses=True)
    assert measured.step is None
    assert "exception 1 illegal function" in measured.notes[0]


def test_latency_and_ramp_are_those_of_the_course() -> None:
    course = [Sample(t, -100.0 + max(0.0, min(50.0, 10.0 * (t - 2.0))), -50.0) for t in range(12)]
    step = analyse_step(course, 0.0, -100.0, -50.0)
    assert step.latency_s == 3.0
    assert step.ramp_w_per_s == pytest.approx(10.0)
    assert (step.settled_w, step.asked_w, step.read_back_s) == (-50.0, 50.0, 0.0)


def test_a_device_that_never_moves_has_no_latency_and_no_ramp() -> None:
    step = analyse_step([Sample(t, -100.0, math.nan) for t in range(9)], 0.0, -100.0, -50.0)
    assert math.isnan(step.latency_s)
    assert math.isnan(step.ramp_w_per_s)
    assert math.isnan(step.read_back_s)


def test_without_a_single_value_after_the_last_write_nothing_is_concluded() -> None:
    assert analyse_silence([], 0.0, -40e3, -10e3, 6.0).behaviour == "unclear"
    gone = [Sample(1.0, math.nan, math.nan)]
    assert analyse_silence(gone, 0.0, -40e3, -10e3, 6.0).behaviour == "unclear", "a lost device has not let go"


@pytest.mark.parametrize(
    ("present_w", "expected_w"),
    [(-80e3, -40e3), (-20e3, -15e3), (-2e3, math.nan), (math.nan, math.nan), (0.0, math.nan)],
)
def test_the_trial_step_can_be_seen_and_told_from_the_fail_safe_power(present_w: float, expected_w: float) -> None:
    assert trial_set_point(UNIT, present_w) == pytest.approx(expected_w, nan_ok=True)


def test_a_battery_at_rest_is_charged_a_little() -> None:
    battery = replace(UNIT, kind=UnitKind.BATTERY, fail_safe=FailSafe(0.0, 0.0, 6.0))
    assert trial_set_point(battery, 0.0) == 20e3


def test_a_record_that_was_changed_does_not_fit_its_hash() -> None:
    measured, _ = commissioned("reverts_to_value")
    document = record(DEVICE, measured, compare(DEVICE, UNIT, measured, "reverts_to_value"), ABOUT)
    again = json.loads(json.dumps(document, allow_nan=False))
    assert digest(again) == document["sha256"]
    again["findings"][0]["verdict"] = "differs"
    assert digest(again) != document["sha256"]


def test_the_text_says_who_when_what_and_leaves_room_to_sign() -> None:
    measured, _ = commissioned("holds_last")
    findings = compare(DEVICE, UNIT, measured, "reverts_to_value")
    text = as_text(record(DEVICE, measured, findings, ABOUT))
    for words in ("A. Engineer", "2026-01-01T12:00:00", "when we fall silent: holds_last", "differs", "Signature:"):
        assert words in text


def test_what_nobody_can_explain_is_told_with_what_to_look_for() -> None:
    foreign = unclear(Silence("unclear", 3.0))
    assert "does somebody else command it" in foreign[0]
    assert "the device did not answer any more" in unclear(Silence("unclear", math.nan))[0]
    assert unclear(Silence("holds_last", math.nan)) == []


def test_a_device_that_tells_no_power_is_not_told_to_try_again_at_more() -> None:
    assert "does not tell its power" in why_not(math.nan)
    assert "at -20.0 kW a step would not be seen" in why_not(-20e3)
