"""What the simulated units can do and how they move."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sim_world_kit import EXACT, unit

from controller.domain.topology import Load
from controller.domain.unit import Storage, UnitKind
from simulators.seeds import stream
from simulators.units.actuators import ActuatorBank, Spread
from simulators.units.battery import Battery
from simulators.units.control_block import Effective
from simulators.units.course import DAY_S, by_hour, noise
from simulators.units.curves import VOLT_VAR, VOLT_WATT
from simulators.units.ev_hub import EvHub, EvSettings
from simulators.units.fleet import LocalCurves
from simulators.units.loads import SHAPES, power_w, reactive_ratio
from simulators.units.pv import PvSettings, clear_sky_w_m2, cloud_field
from simulators.units.pv import available_frac as pv_frac
from simulators.units.wind import WindSettings, farm_power_frac
from simulators.units.wind import available_frac as wind_frac

STORAGE = Storage(e_rated_wh=2e6, soc_min_frac=0.1, soc_max_frac=0.9, eff_charge_frac=0.9, eff_discharge_frac=0.8)


def test_charging_stores_less_than_it_takes_and_discharging_takes_more_than_it_gives() -> None:
    battery = Battery(STORAGE, 1e6)
    battery.step(1e6, 360.0)
    assert battery.energy_wh == pytest.approx(1e6 + 90e3)
    battery.step(-1e6, 360.0)
    assert battery.energy_wh == pytest.approx(1e6 + 90e3 - 125e3)


def test_the_state_of_charge_never_leaves_its_limits() -> None:
    rng = stream(3, "test")
    battery = Battery(STORAGE, 1e6)
    for _ in range(3000):
        wanted_w = (
            float(rng.choice([-1e6, 1e6])) if rng.random() < 0.01 else 1e6 * math.copysign(1.0, battery.soc_frac - 0.5)
        )
        given_w = battery.step(wanted_w, float(rng.uniform(0.1, 60.0)))
        assert 0.1 <= battery.soc_frac <= 0.9
        assert abs(given_w) <= 1e6
        assert given_w * wanted_w >= 0.0


def test_a_full_battery_takes_nothing_and_its_power_falls_before_that() -> None:
    battery = Battery(STORAGE, 1e6)
    battery.energy_wh = 0.88 * 2e6
    assert 0.0 < battery.range_w(1.0)[1] < 0.6e6
    battery.energy_wh = 0.9 * 2e6
    assert battery.range_w(1.0)[1] == 0.0
    assert battery.range_w(1.0)[0] == -1e6


def hub(cap_w: float, hours: float = 6.0) -> tuple[EvHub, list[float], list[float]]:
    charging = EvHub(EvSettings({0.0: 12.0}), 1e6, stream(1, "ev"), 8 * 3600.0)
    asked, given = [], []
    for _ in range(int(hours * 120)):
        request_w = charging.arrive(30.0)
        power_w = min(request_w, cap_w)
        charging.charge(power_w, 30.0)
        asked.append(request_w)
        given.append(power_w)
    return charging, asked, given


def test_cars_ask_for_no_more_than_the_hub_can_give_and_leave_when_they_have_enough() -> None:
    _, asked, _ = hub(math.inf)
    assert 0.0 < max(asked) <= 1e6
    assert min(asked) < 0.5 * max(asked)


def test_a_capped_hub_makes_cars_stay_longer_and_ask_for_more() -> None:
    free, free_asked, _ = hub(math.inf)
    capped, capped_asked, _ = hub(100e3)
    assert capped.cars > free.cars
    assert sum(capped_asked) > sum(free_asked)


def test_the_same_seed_brings_the_same_cars() -> None:
    assert hub(200e3)[1] == hub(200e3)[1]


@pytest.mark.parametrize("category", ["A", "B"])
def test_volt_var_is_the_default_curve_of_ieee_1547(category: str) -> None:
    points = {
        "A": ((0.90, 0.25), (1.0, 0.0), (1.10, -0.25)),
        "B": ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)),
    }
    for u_pu, injected_pu in points[category]:
        assert VOLT_VAR[category].at(u_pu) == pytest.approx(injected_pu)
    assert VOLT_VAR[category].at(0.5) == points[category][0][1]
    assert VOLT_VAR[category].at(1.5) == points[category][-1][1]
    assert VOLT_VAR[category].olrt_s == {"A": 10.0, "B": 5.0}[category]


@pytest.mark.parametrize("category", ["A", "B"])
def test_volt_watt_is_the_default_curve_of_ieee_1547(category: str) -> None:
    curve = VOLT_WATT[category]
    assert [curve.at(u_pu) for u_pu in (1.0, 1.06, 1.08, 1.10, 1.2)] == pytest.approx([1.0, 1.0, 0.6, 0.2, 0.2])
    assert curve.olrt_s == 10.0


def test_a_curve_has_moved_ninety_percent_after_its_response_time() -> None:
    local = LocalCurves(VOLT_VAR["B"], None)
    for _ in range(50):
        absorbed_pu, allowed_pu = local.step(1.2, 0.1)
    assert absorbed_pu == pytest.approx(0.9 * 0.44, rel=1e-6)
    assert allowed_pu == 1.0


def bank(kind: UnitKind = UnitKind.PV) -> ActuatorBank:
    out = ActuatorBank([unit("X", kind, "BB", 0.0)], 1, EXACT)
    out.target(0, Effective(), 0.0)
    return out


def move(actuators: ActuatorBank, start_s: float, end_s: float, available_w: float, dt_s: float = 0.1) -> float:
    for k in range(1, round((end_s - start_s) / dt_s) + 1):
        actuators.step(start_s + k * dt_s, dt_s, np.array([available_w]), np.array([0.8e6]))
    return float(actuators.p[0])


def test_a_cap_below_the_output_acts_from_the_output_after_dead_time_lag_and_ramp() -> None:
    actuators = bank()
    assert move(actuators, 0.0, 5.0, 1.2e6) == pytest.approx(1.2e6)
    actuators.target(0, Effective(generation_w_max=0.2e6), 5.0)
    assert move(actuators, 5.0, 6.0, 1.2e6) == pytest.approx(1.2e6)  # dead time 1 s
    assert move(actuators, 6.0, 7.0, 1.2e6) == pytest.approx(0.2e6 + 1e6 * math.exp(-1.0), rel=1e-3)  # lag 1 s
    assert move(actuators, 7.0, 15.0, 1.2e6) == pytest.approx(0.2e6, rel=1e-2)


def test_one_long_step_lands_where_many_short_ones_do() -> None:
    results = []
    for dt_s in (0.1, 1.0):
        actuators = bank()
        move(actuators, 0.0, 5.0, 1.2e6, dt_s)
        actuators.target(0, Effective(generation_w_max=0.9e6), 5.0)
        results.append(move(actuators, 5.0, 8.0, 1.2e6, dt_s))
    assert results[0] == pytest.approx(results[1], rel=0.01)


def test_a_battery_follows_within_its_ramp_and_q_within_its_limit() -> None:
    actuators = bank(UnitKind.BATTERY)
    actuators.target(0, Effective(p_w=-2e6, q_var=5e6), 0.0)
    assert move(actuators, 0.0, 2.0, math.nan) >= -1.0e6 - 1.0
    assert move(actuators, 2.0, 20.0, math.nan) == pytest.approx(-2e6, rel=1e-3)
    assert actuators.q_var[0] == pytest.approx(0.8e6, rel=1e-3)


def test_true_lags_differ_from_the_site_file_by_no_more_than_the_spread() -> None:
    units = [unit(f"U{k}", UnitKind.PV, "BB", 0.0) for k in range(50)]
    tau_s = ActuatorBank(units, 1, Spread())._tau_p_s
    assert 0.7 <= tau_s.min() < 0.8
    assert 1.5 < tau_s.max() <= 1.6


def test_noise_has_unit_size_and_no_steps() -> None:
    course = noise(stream(1, "n"), 300.0, 30.0)
    assert course.std() == pytest.approx(1.0)
    assert np.abs(np.diff(course)).max() < 0.06
    assert abs(course[0] - course[-1]) < 0.06  # wraps around at midnight


def test_a_farm_gives_nothing_in_calm_everything_in_wind_and_nothing_in_a_storm() -> None:
    assert farm_power_frac(np.array([0.0, 2.9, 14.0, 20.0, 30.0])).tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]


def test_wind_and_sun_change_over_tens_of_seconds_not_at_once() -> None:
    wind = wind_frac(by_hour({0.0: 9.0}), WindSettings(), stream(1, "w"))
    sun = pv_frac(clear_sky_w_m2(172, 52.0), cloud_field(by_hour({0.0: 0.5}), stream(1, "c")), PvSettings())
    for course in (wind, sun):
        assert course.min() >= 0.0
        assert course.max() <= 1.0
        assert np.abs(np.diff(course)).max() < 0.01  # of the rating per second
        assert np.ptp(course) > 0.3


def test_there_is_no_sun_at_night_and_most_of_it_at_noon() -> None:
    clear = clear_sky_w_m2(172, 52.0)
    assert clear[0] == 0.0
    assert int(clear.argmax()) == DAY_S // 2
    assert 800.0 < clear.max() < 1000.0


def test_a_cloud_reaches_the_park_behind_later() -> None:
    clouds = cloud_field(by_hour({0.0: 0.5}), stream(1, "c"))
    steady = np.full(DAY_S, 800.0)
    first, second = (pv_frac(steady, clouds, PvSettings(position_m=position_m)) for position_m in (0.0, 1200.0))
    assert second == pytest.approx(np.roll(first, 100))


@pytest.mark.parametrize("shape", SHAPES)
def test_demand_stays_inside_what_the_site_file_calls_credible(shape: str) -> None:
    load = Load("L", "BB", 1e6, 3e5, 0.5e6, 2e6)
    course = power_w(load, shape, 1.5, np.linspace(0.0, 1.0, DAY_S), stream(1, "l"))
    assert course.min() >= 0.5e6
    assert course.max() <= 2e6
    assert reactive_ratio(load) == pytest.approx(0.3)


def test_a_load_shape_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="L has shape 'castle'; expected one of town"):
        power_w(Load("L", "BB", 1e6, 3e5, 0.5e6, 2e6), "castle", 1.0, np.zeros(DAY_S), stream(1, "l"))


def test_a_set_point_that_changes_every_second_still_acts() -> None:
    actuators = bank()
    move(actuators, 0.0, 5.0, 1.2e6, 1.0)
    for second in range(5, 25):
        actuators.target(0, Effective(generation_w_max=0.4e6 + second), float(second))
        actuators.step(second + 1.0, 1.0, np.array([1.2e6]), np.array([0.8e6]))
    assert actuators.p[0] == pytest.approx(0.4e6, rel=0.01)
