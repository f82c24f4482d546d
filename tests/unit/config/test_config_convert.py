"""Field units become SI and words become the house's sign, exactly once."""

from __future__ import annotations

import math

import pytest
from config_samples import SMALL, FakeCatalogue, changed

from controller.config.loader import parse, parse_site
from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.domain.unit import UnitKind


@pytest.fixture
def site() -> Site:
    return parse(SMALL.encode(), "site.yaml", FakeCatalogue()).site


def test_generation_is_negative_and_consumption_positive(site: Site) -> None:
    solar, battery, hub = site.units
    assert (solar.kind, solar.p_min_w, solar.p_max_w) == (UnitKind.PV, -4e6, 0.0)
    assert (battery.kind, battery.p_min_w, battery.p_max_w) == (UnitKind.BATTERY, -1e6, 1e6)
    assert (hub.kind, hub.p_min_w, hub.p_max_w) == (UnitKind.EV_HUB, 0.0, 5e5)
    assert [unit.fail_safe.p_w for unit in site.units] == [-1e6, 0.0, 1e5]
    assert math.copysign(1.0, solar.p_max_w) == 1.0


def test_ratings_ranges_and_leases_reach_the_unit(site: Site) -> None:
    solar, battery, _ = site.units
    assert (solar.p_rated_w, solar.s_rated_va, solar.q_max_var, solar.fail_safe.lease_s) == (4e6, 4.4e6, 1e6, 10.0)
    assert battery.storage is not None
    assert (battery.storage.e_rated_wh, battery.storage.soc_min_frac) == (2e6, 0.1)
    assert solar.actuator.ramp_up_w_per_s == pytest.approx(4e5)


def test_a_transformer_without_its_own_limit_keeps_its_nameplate(site: Site) -> None:
    (transformer,) = site.topology.transformers
    assert transformer.s_max_va == transformer.sn_va == 5e6
    assert (transformer.u1_v, transformer.u2_v, transformer.uk_pu, transformer.pk_w) == (33e3, 11e3, 0.08, 30e3)
    assert (transformer.tap_pos, transformer.tap_min, transformer.tap_max, transformer.tap_size_pu) == (
        1,
        -4,
        4,
        0.0125,
    )


def test_parallel_circuits_become_one_line() -> None:
    text = changed("      i_rated_a: 300", "      i_rated_a: 300\n      parallel: 2\n      c_uf_per_km: 0.3")
    (line,) = parse_site(text, "site.yaml").topology.lines
    assert (line.r_ohm, line.x_ohm, line.i_max_a) == pytest.approx((0.2, 0.1, 600.0))
    assert line.b_s == pytest.approx(2 * math.pi * 50 * 0.3e-6 * 2 * 2)


def test_a_load_with_hidden_generation_can_be_negative() -> None:
    text = changed("power_factor: 0.95", "power_factor: 0.95, generation_kw: {min: 0, expected: 50, max: 400}")
    (load,) = parse_site(text, "site.yaml").topology.loads
    assert (load.p_w, load.p_min_w, load.p_max_w) == pytest.approx((450e3, -300e3, 1000e3))
    assert load.q_var == pytest.approx(500e3 * math.tan(math.acos(0.95)))


def test_limits_are_in_amperes_volts_and_watts(site: Site) -> None:
    limits = {limit.id: limit for limit in site.limits}
    assert limits["T1.thermal"].high == pytest.approx(5e6 / (math.sqrt(3) * 11e3))
    assert limits["L1.thermal"].high == 250.0
    assert (limits["END.voltage"].low, limits["END.voltage"].high) == pytest.approx((10340.0, 11660.0))
    assert (limits["export"].kind, limits["export"].element, limits["export"].high) == (
        LimitKind.EXPORT,
        "interface",
        3e6,
    )


def test_a_band_in_kilovolts_is_taken_as_it_stands() -> None:
    text = changed("below_percent: 6, above_percent: 6", "low_kv: 10.5, high_kv: 11.5")
    band = next(limit for limit in parse_site(text, "site.yaml").limits if limit.id == "LV.voltage")
    assert (band.low, band.high) == pytest.approx((10500.0, 11500.0))


def test_a_commanding_device_feeds_what_its_profile_has_of_its_unit(site: Site) -> None:
    feeds = {device.id: dict(device.feeds) for device in site.devices}
    assert feeds["DPV"] == {name: f"unit.PV1.{name}" for name in ("p_w", "q_var", "p_set_w", "q_set_var")}
    assert feeds["DBAT"] == {name: f"unit.BAT.{name}" for name in ("p_w", "soc_frac", "p_set_w")}
    assert feeds["ML"]["p_w"] == "-branch.L1.p_w"


def test_without_a_catalogue_a_device_is_taken_to_feed_all_of_its_unit() -> None:
    device = next(device for device in parse_site(SMALL, "site.yaml").devices if device.id == "DPV")
    of_unit = {"p_w", "q_var", "p_avail_w", "soc_frac", "state", "vehicles", "wanted_wh", "p_set_w", "q_set_var"}
    assert of_unit == set(device.feeds)


def test_a_stated_feed_wins_over_the_automatic_one() -> None:
    text = changed("profile: inverter, unit: PV1", "profile: inverter, unit: PV1, feeds: {p_w: -unit.PV1.p_w}")
    device = next(device for device in parse_site(text, "site.yaml").devices if device.id == "DPV")
    assert device.feeds["p_w"] == "-unit.PV1.p_w"


def test_unit_addresses_default_to_one_and_mean_nothing_to_opc_ua(site: Site) -> None:
    addresses = {device.id: device.unit_address for device in site.devices}
    assert (addresses["MT"], addresses["ML"], addresses["DEV"]) == (1, 7, 0)


def test_percent_of_the_meters_becomes_a_fraction() -> None:
    text = changed("control: {", "measurement: {sigma_voltage_percent: 0.5, latency_s: 0.2}\ncontrol: {")
    chain = parse_site(text, "site.yaml").chain
    assert (chain.sigma_u_rel, chain.latency_s, chain.sigma_i_rel) == pytest.approx((0.005, 0.2, 0.003))


def test_a_line_without_an_impedance_gets_type_values_that_are_rather_too_large() -> None:
    text = changed("      r_ohm_per_km: 0.2\n      x_ohm_per_km: 0.1\n", "")
    (line,) = parse(text.encode(), "site.yaml", FakeCatalogue()).site.topology.lines
    (known,) = parse(SMALL.encode(), "site.yaml", FakeCatalogue()).site.topology.lines
    assert not line.impedance_known
    assert known.impedance_known
    assert line.r_ohm > known.r_ohm
    assert line.x_ohm > known.x_ohm
