"""Thermal models, seasons and assumed weather of a site file: what they become in SI, and what is refused."""

from __future__ import annotations

import math

import pytest
from config_samples import SMALL, FakeCatalogue, changed

from controller.config.finding import SiteError
from controller.config.loader import parse_site
from controller.domain.site import Site

T1_A = 5e6 / (math.sqrt(3) * 11e3)
LOSSES = "      no_load_loss_kw: 5\n"
LIMIT_T1 = "    - branch: T1\n"
LINE_END = "      i_rated_a: 300\n"


def site(text: str) -> Site:
    return parse_site(text, "small", FakeCatalogue())


def thermal(block: str, source: str = SMALL) -> str:
    return changed(LOSSES, f"{LOSSES}      thermal: {{{block}}}\n", source)


def test_a_thermal_block_takes_what_it_leaves_out_from_the_cooling_class() -> None:
    made = site(thermal("top_oil_rise_k: 48, tau_oil_min: 170")).topology.transformers[0].thermal
    assert made is not None
    assert (made.top_oil_rise_k, made.tau_oil_s) == (48.0, 170 * 60.0)
    assert (made.k11, made.k21, made.k22, made.winding_exponent) == (0.5, 2.0, 2.0, 1.3)
    assert (made.loss_ratio, made.hot_spot_c_max, made.top_oil_c_max) == (6.0, 120.0, 105.0)
    assert made.horizon_s == 1800.0


def test_without_a_cap_the_limit_never_rises_above_the_rating() -> None:
    limit = site(thermal("top_oil_rise_k: 48")).limits[0]
    assert limit.high == limit.rated_high == pytest.approx(T1_A)


def test_with_a_cap_the_limit_may_rise_to_it_and_rests_on_the_rating() -> None:
    limit = site(thermal("load_percent_max: 140")).limits[0]
    assert (limit.high, limit.rated_high) == pytest.approx((1.4 * T1_A, T1_A))


def test_a_stated_current_is_never_exceeded_by_a_thermal_model() -> None:
    text = changed(LIMIT_T1, "    - {branch: T1, i_max_a: 250}\n", thermal("load_percent_max: 140"))
    assert site(text).limits[0].high == site(text).limits[0].rated_high == 250.0


def test_seasons_span_from_the_lowest_to_the_highest_rating() -> None:
    winter = "{name: winter, months: [12, 1, 2], i_max_a: 300}"
    heat = "{name: heat, first_day: 06-15, last_day: 08-31, i_max_a: 200}"
    limit = site(changed(LIMIT_T1, f"    - {{branch: T1, seasons: [{winter}, {heat}]}}\n")).limits[0]
    assert (limit.high, limit.rated_high) == (300.0, 200.0)
    assert [s.name for s in limit.seasons if s.covers(1, 31)] == ["winter"]
    assert [s.name for s in limit.seasons if s.covers(6, 15)] == ["heat"]
    assert [s.name for s in limit.seasons if s.covers(9, 1)] == []


def test_lines_say_how_they_warm_up_per_metre_and_circuit() -> None:
    block = "{diameter_mm: 16, r25_ohm_per_km: 0.27, r75_ohm_per_km: 0.32, conductor_c_max: 75}"
    made = site(changed(LINE_END, f"{LINE_END}      parallel: 2\n      overhead: {block}\n")).topology.lines[0]
    assert made.overhead is not None
    assert (made.overhead.diameter_m, made.overhead.r75_ohm_per_m, made.overhead.circuits) == (0.016, 3.2e-4, 2)
    cable = site(changed(LINE_END, f"{LINE_END}      cable: {{time_constant_min: 240}}\n")).topology.lines[0].cable
    assert cable is not None
    assert (cable.time_constant_s, cable.rated_c, cable.load_pu_max) == (14400.0, 90.0, 1.0)


def test_the_weather_is_the_same_all_year_or_stated_by_month() -> None:
    assert site(SMALL).weather.ambient_c == (30.0,) * 12
    by_month = SMALL + f"weather: {{ambient_by_month_c: {list(range(5, 17))}}}\n"
    assert site(by_month).weather.ambient_c == tuple(float(k) for k in range(5, 17))
    assert site(by_month).timezone == "Europe/London"


OVERHEAD = "diameter_mm: 14.2, r25_ohm_per_km: 0.27, conductor_c_max: 75"
SEASON = "    - {{branch: T1, seasons: [{{name: x, {0}, i_max_a: 200}}]}}\n"
REFUSED = [
    (thermal("tau_winding_min: 90"), "network.transformers[0].thermal.tau_winding_min"),
    (thermal("hot_spot_c_max: 100"), "network.transformers[0].thermal.hot_spot_c_max"),
    (thermal("load_percent_max: 90"), "network.transformers[0].thermal.load_percent_max"),
    (changed(LINE_END, f"{LINE_END}      overhead: {{{OVERHEAD}, r75_ohm_per_km: 0.2}}\n"), "overhead.r75_ohm_per_km"),
    (changed(LINE_END, f"{LINE_END}      cable: {{time_constant_min: 60, emergency_c: 80}}\n"), "cable.emergency_c"),
    (changed(LINE_END, f"{LINE_END}      cable: {{time_constant_min: 60, rated_c: 50, ground_c: 55}}\n"), "ground_c"),
    (changed(LIMIT_T1, SEASON.format("months: [13]")), "seasons"),
    (changed(LIMIT_T1, SEASON.format("months: [1], first_day: 05-01, last_day: 05-02")), "seasons[0]"),
    (changed(LIMIT_T1, SEASON.format("first_day: 05-01")), "seasons[0]"),
    (changed(LIMIT_T1, SEASON.format("first_day: 02-30, last_day: 05-02")), "first_day"),
    (changed(LIMIT_T1, "    - {branch: T1, seasons: [{name: x, months: [1], i_max_a: 2000}]}\n"), "i_max_a"),
    (SMALL + "weather: {ambient_by_month_c: [1, 2]}\n", "weather.ambient_by_month_c"),
]


@pytest.mark.parametrize(("text", "path"), REFUSED, ids=[path for _, path in REFUSED])
def test_what_cannot_be_is_refused_at_its_place(text: str, path: str) -> None:
    with pytest.raises(SiteError) as error:
        site(text)
    assert any(path in finding.path for finding in error.value.findings), error.value.findings


def test_thermometers_may_be_fed_and_weather_has_no_id() -> None:
    feeds = "feeds: {p_w: branch.T1.p_w, q_var: branch.T1.q_var, i_a: branch.T1.i_a, u_v: bus.LV.u_v}"
    for wrong in ("u_v: ambient.temp_c", "u_v: ambient.X.temp_c"):
        with pytest.raises(SiteError):
            site(changed(feeds, feeds.replace("u_v: bus.LV.u_v", wrong)))
