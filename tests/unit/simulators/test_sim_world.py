"""The whole station: what is true, what is said, and what commands and faults do to it."""

from __future__ import annotations

import hashlib
import math

import pytest
from sim_world_kit import world

from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from drivers.profile import FailBehaviour
from simulators.adapters.in_process import InProcessField
from simulators.faults import Fault, FaultKind, parse_fault
from simulators.scenario import UnitSettings
from simulators.world import World

CAP = "generation_w_max"


def run(plant: World, seconds: float, dt_s: float = 1.0) -> World:
    for _ in range(round(seconds / dt_s)):
        plant.step(dt_s)
    return plant


def field(plant: World) -> InProcessField:
    return InProcessField(plant, plant.site.devices)


def cap(plant: World, watts: float, lease_s: float = 10.0, revert: float | None = None) -> OutcomeState:
    fall_back = {} if revert is None else {CAP: revert}
    return field(plant).write("DPV", {CAP: watts}, lease_s, fall_back).state


def keep_capped(plant: World, watts: float, seconds: int) -> World:
    for _ in range(seconds):
        assert cap(plant, watts) is OutcomeState.ACKNOWLEDGED
        plant.step(1.0)
    return plant


def truth_hash(plant: World) -> str:
    return hashlib.sha256(plant.state_row.tobytes()).hexdigest()


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = (run(world(seed=seed), 300.0) for seed in (5, 5, 6))
    assert truth_hash(first) == truth_hash(again) != truth_hash(other)


def test_reading_changes_nothing() -> None:
    quiet, watched = world(), world()
    watcher = field(watched)
    for _ in range(60):
        quiet.step(1.0)
        watched.step(1.0)
        for device in watched.site.devices:
            watcher.poll(device.id, watched.now_s)
    assert truth_hash(quiet) == truth_hash(watched)


def test_one_command_one_second_later_gives_another_world() -> None:
    early, late = world(), world()
    cap(early, 1e6)
    run(early, 1.0)
    run(late, 1.0)
    cap(late, 1e6)
    assert truth_hash(run(early, 5.0)) != truth_hash(run(late, 5.0))


def test_units_start_at_their_fail_safe_set_points() -> None:
    plant = run(world(), 5.0)
    assert plant.truth().unit_p_w["PV"] == pytest.approx(-0.5e6)
    assert plant.truth().unit_p_w["HUB"] <= 0.3e6


def test_a_world_without_control_lets_everything_run_and_ignores_writes() -> None:
    plant = world(controlled=False)
    cap(plant, 0.1e6)
    truth = run(plant, 30.0).truth()
    assert truth.unit_p_w["PV"] == pytest.approx(-truth.unit_available_w["PV"])
    assert truth.unit_p_w["PV"] < -1.8e6
    assert truth.unit_p_w["BAT"] == 0.0
    assert truth.unit_q_var == {"PV": 0.0, "BAT": 0.0, "HUB": 0.0}


def test_a_world_that_starts_open_waits_for_the_first_command() -> None:
    plant = run(world(starts_open=True), 20.0)
    assert plant.truth().unit_p_w["PV"] < -1.8e6
    assert keep_capped(plant, 1e6, 10).truth().unit_p_w["PV"] == pytest.approx(-1e6, rel=0.01)


def test_a_unit_obeys_while_its_lease_is_kept_and_reverts_when_we_die() -> None:
    plant = keep_capped(world(), 1.5e6, 20)
    assert plant.truth().unit_p_w["PV"] == pytest.approx(-1.5e6, rel=0.01)
    assert run(plant, 9.0).truth().unit_p_w["PV"] == pytest.approx(-1.5e6, rel=0.01)
    assert run(plant, 10.0).truth().unit_p_w["PV"] == pytest.approx(-0.5e6, rel=0.01)


def test_a_unit_reverts_to_the_value_that_it_was_told_to() -> None:
    plant = world()
    cap(plant, 1.5e6, lease_s=10.0, revert=0.9e6)
    assert run(plant, 30.0).truth().unit_p_w["PV"] == pytest.approx(-0.9e6, rel=0.01)


def test_a_device_that_holds_last_never_reverts() -> None:
    plant = keep_capped(world(fails=FailBehaviour.HOLDS_LAST), 1.5e6, 20)
    assert run(plant, 100.0).truth().unit_p_w["PV"] == pytest.approx(-1.5e6, rel=0.01)


def test_a_deaf_unit_says_yes_and_does_nothing() -> None:
    plant = keep_capped(world(), 1.5e6, 20)
    plant.inject(Fault(FaultKind.DEAF, "DPV", for_s=60.0))
    keep_capped(plant, 0.7e6, 50)
    assert field(plant).poll("DPV", plant.now_s)["p_set_w"].value == -0.7e6
    assert plant.truth().unit_p_w["PV"] == pytest.approx(-1.5e6, rel=0.01)
    assert keep_capped(plant, 0.7e6, 30).truth().unit_p_w["PV"] == pytest.approx(-0.7e6, rel=0.01)


def test_a_silent_device_gives_no_value_takes_no_command_and_its_unit_falls_back() -> None:
    plant = keep_capped(world(), 1.5e6, 20)
    plant.inject(Fault(FaultKind.SILENT, "DPV", for_s=30.0))
    answers = field(plant).poll("DPV", plant.now_s)
    assert {answer.quality for answer in answers.values()} == {Quality.BAD}
    assert {answer.reason for answer in answers.values()} == {"no answer"}
    assert cap(plant, 1.5e6) is OutcomeState.FAILED
    assert run(plant, 25.0).truth().unit_p_w["PV"] == pytest.approx(-0.5e6, rel=0.01)
    assert not plant.devices["MT"].silent
    assert not run(plant, 10.0).devices["DPV"].silent


def test_a_killed_device_stays_dead() -> None:
    plant = world()
    plant.inject(Fault(FaultKind.KILLED, "MT", for_s=1.0))
    assert run(plant, 100.0).devices["MT"].silent
    assert plant.devices["MT"].killed


def test_a_frozen_device_repeats_itself_while_the_truth_moves_on() -> None:
    plant = world()
    plant.inject(Fault(FaultKind.FROZEN, "MT", for_s=50.0))
    before = field(plant).poll("MT", plant.now_s)["p_w"].value
    keep_capped(plant, 1.8e6, 40)
    assert field(plant).poll("MT", plant.now_s)["p_w"].value == before
    run(plant, 20.0)
    assert field(plant).poll("MT", plant.now_s)["p_w"].value != before


def test_a_biased_meter_is_off_by_that_part_of_its_full_scale_and_a_spike_lasts_one_step() -> None:
    plant = run(world(), 3.0)
    true_a = plant.truth().branch_i_a["T1"]
    plant.inject(Fault(FaultKind.BIAS, "MT", point="i_a", frac=0.1, for_s=10.0))
    full_scale_a = 6.3e6 / math.sqrt(3.0) / 11e3
    assert field(plant).poll("MT", 3.0)["i_a"].value == pytest.approx(true_a + 0.1 * full_scale_a, rel=1e-6)
    run(plant, 20.0)
    plant.inject(Fault(FaultKind.SPIKE, "MT", point="i_a", frac=-0.5))
    assert field(plant).poll("MT", plant.now_s)["i_a"].value < 0.0
    run(plant, 1.0)
    assert field(plant).poll("MT", plant.now_s)["i_a"].value == pytest.approx(plant.truth().branch_i_a["T1"], rel=1e-3)


def test_a_scheduled_fault_comes_at_its_clock_time_and_goes() -> None:
    plant = world(faults=(parse_fault("silent:MT@12:01+30"),))
    states = []
    for _ in range(120):
        plant.step(1.0)
        states.append(plant.devices["MT"].silent)
    assert states.index(True) == 59
    assert sum(states) == 30


def test_a_fault_of_a_device_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="no device is called 'XY'"):
        world().inject(Fault(FaultKind.SILENT, "XY"))


@pytest.mark.parametrize("text", ["", "silent", "nap:MT", "silent:MT@noon", "silent:MT@25:00", "bias:MT.i_a"])
def test_a_fault_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_fault(text)


def test_a_fault_text_names_kind_device_point_size_time_and_length() -> None:
    assert parse_fault("bias:MT1.i_a=-0.05@12:20+600") == Fault(FaultKind.BIAS, "MT1", 44400.0, 600.0, "i_a", -0.05)


def test_readings_are_the_truth_in_the_resolution_of_the_registers_and_the_sign_of_the_wiring() -> None:
    plant = run(world(), 10.0)
    truth, now_s = plant.truth(), plant.now_s
    assert field(plant).poll("MT", now_s)["p_w"].value == pytest.approx(truth.branch_p_w["T1"], rel=1e-6)
    assert field(plant).poll("ML", now_s)["p_w"].value == pytest.approx(-truth.branch_p_w["L1"], rel=1e-6)
    solar = field(plant).poll("DPV", now_s)["p_w"].value
    assert solar == pytest.approx(truth.unit_p_w["PV"], abs=50.0)
    assert solar % 100.0 == 0.0


def test_a_point_that_a_unit_does_not_have_is_missing_not_zero() -> None:
    assert field(world()).poll("DPV", 0.0)["soc_frac"].quality is Quality.MISSING
    assert field(world()).poll("DBAT", 0.0)["soc_frac"].quality is Quality.GOOD


def test_a_command_that_the_profile_does_not_have_is_unsupported_and_nan_is_refused() -> None:
    plant = world()
    assert field(plant).write("MT", {"p_w": 1.0}, 10.0, {}).state is OutcomeState.UNSUPPORTED
    assert cap(plant, math.nan) is OutcomeState.REFUSED


def test_energy_is_conserved_in_every_state() -> None:
    plant = keep_capped(world(), 2e6, 60)
    truth = plant.truth()
    town_w = float(plant._exogenous.at(plant.now_s)[plant._exogenous.active][0])
    used_w = town_w + sum(truth.unit_p_w.values())
    losses_w = truth.interface_p_w - used_w
    copper_w = 3.0 * 0.6 * truth.branch_i_a["L1"] ** 2 + 38e3 * (truth.branch_i_a["T1"] / 330.66) ** 2
    iron_w = 6e3 * (truth.bus_u_v["GRID"] / 33e3) ** 2
    assert losses_w == pytest.approx(copper_w + iron_w, rel=0.02)


def test_what_a_battery_stored_is_what_it_took_less_its_losses() -> None:
    plant = world()
    link = field(plant)
    for _ in range(600):
        link.write("DBAT", {"p_w": 1e6}, 10.0, {})
        plant.step(1.0)
    taken_wh = plant.score.units()[1]["energy_wh"]
    assert plant.truth().unit_soc_frac["BAT"] == pytest.approx(0.5 + 0.95 * taken_wh / 2e6, rel=1e-6)


def test_a_long_step_is_taken_in_seconds_and_every_one_of_them_is_scored() -> None:
    plant = world()
    plant.step(10.5)
    assert plant.now_s == 10.5
    assert plant.steps == 11
    assert plant.score.duration_s == pytest.approx(10.5)


@pytest.mark.parametrize("dt_s", [0.0, -1.0, math.nan, math.inf])
def test_a_step_that_is_no_time_is_refused(dt_s: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        world().step(dt_s)


def test_volt_watt_lowers_generation_by_itself_when_it_is_on() -> None:
    high = {"source_u_pu": {0.0: 1.09}, "controlled": False}
    off = run(world(**high), 120.0)  # type: ignore[arg-type]
    on = run(world(**high, units={"PV": UnitSettings(volt_watt="B", volt_var="B")}), 120.0)  # type: ignore[arg-type]
    assert on.truth().unit_p_w["PV"] > 0.8 * off.truth().unit_p_w["PV"]
    assert on.truth().unit_q_var["PV"] > 0.5e6
    assert on.truth().bus_u_v["N1"] < off.truth().bus_u_v["N1"]
