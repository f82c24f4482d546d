"""Quantities are said the way people say them."""

from __future__ import annotations

import math

import pytest

from controller.domain.unit import UnitKind
from simulators.demo.words import allowed, clock, doing, duration, energy, interface, percent, power, voltage


@pytest.mark.parametrize(
    ("p_w", "text"),
    [(-3.2e6, "3.2 MW"), (410e3, "410 kW"), (999.6e3, "1.0 MW"), (0.0, "0 kW"), (math.nan, "–")],
)
def test_a_power_has_no_sign_and_a_fitting_unit(p_w: float, text: str) -> None:
    assert power(p_w) == text


@pytest.mark.parametrize(
    ("kind", "p_w", "words"),
    [
        (UnitKind.WIND, -3.2e6, ("generating", "3.2 MW")),
        (UnitKind.BATTERY, 1.0e6, ("charging", "1.0 MW")),
        (UnitKind.BATTERY, -1.0e6, ("discharging", "1.0 MW")),
        (UnitKind.BATTERY, -12.0, ("resting", "")),
        (UnitKind.EV_HUB, 720e3, ("charging", "720 kW")),
        (UnitKind.FLEX_LOAD, 720e3, ("taking", "720 kW")),
        (UnitKind.PV, math.nan, ("unknown", "")),
    ],
)
def test_the_direction_of_a_unit_is_a_verb(kind: UnitKind, p_w: float, words: tuple[str, str]) -> None:
    assert doing(kind, p_w) == words


def test_a_set_point_is_a_permission_but_an_order_for_a_battery() -> None:
    assert allowed(UnitKind.PV, -2.0e6) == "up to 2.0 MW"
    assert allowed(UnitKind.EV_HUB, 200e3) == "up to 200 kW"
    assert allowed(UnitKind.BATTERY, 2.0e6) == "charge 2.0 MW"
    assert allowed(UnitKind.BATTERY, -2.0e6) == "discharge 2.0 MW"
    assert allowed(UnitKind.BATTERY, 0.0) == "rest"


def test_the_exchange_is_export_or_import() -> None:
    assert interface(-9.8e6) == "export 9.8 MW"
    assert interface(120e3) == "import 120 kW"
    assert interface(math.nan) == "–"


def test_times_voltages_shares_and_energies() -> None:
    assert clock(12 * 3600 + 41 * 60 + 20.7) == "12:41:20"
    assert clock(25 * 3600.0) == "01:00:00"
    assert [duration(s) for s in (40.0, 600.0, 7500.0, math.inf)] == ["40 s", "10 min", "2 h 05 min", "for good"]
    assert [voltage(u_v) for u_v in (11123.0, 417.34, math.nan)] == ["11.12 kV", "417.3 V", "–"]
    assert [percent(frac) for frac in (0.974, math.nan)] == ["97 %", "–"]
    assert [energy(wh) for wh in (-12.44e6, 310e3)] == ["12.4 MWh", "310 kWh"]
