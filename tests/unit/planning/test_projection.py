"""The projection of a small station's limits, held against single AC power flows."""

from __future__ import annotations

from dataclasses import replace

import core_planning_kit as kit
import numpy as np
import pytest

from controller.domain.limit import Limit, LimitKind
from controller.domain.thermal import TransformerThermal
from controller.domain.topology import SQRT3
from controller.estimation.layout import Layout
from controller.estimation.transformer_state import parameters_of
from controller.grid.model import GridModel
from controller.physics.transformer_thermal import cold_state, steady_state
from controller.planning.forecast import Forecast
from controller.planning.outlook import Offsets
from controller.planning.projection import COVER_FRAC, LimitOutlook, Warm, needs, project, spread_over_futures

LEVELS = (0.1, 0.5, 0.9)
ONAN = TransformerThermal(52.0, 22.0, 6.0, 0.8, 1.3, 0.5, 2.0, 2.0, 12600.0, 600.0, load_pu_max=1.5)


def offsets(layout: Layout) -> Offsets:
    return Offsets(np.zeros(layout.grid.n_bus), np.zeros(2 * layout.n_branch + 2))


def sunny(layout: Layout, a_w: tuple[float, float, float], quarters: int = 4) -> Forecast:
    """0.5 MW of demand for sure; farm A gives one of three powers, B always 1 MW."""
    value = np.zeros((3, quarters, 2 * layout.n_w + 3))
    value[:, :, layout.grid.injection_index("BB")] = 0.5e6
    value[:, :, -3] = np.array(a_w)[:, None]
    value[:, :, -2] = 1.0e6
    return Forecast(100, LEVELS, value)


def outlook(layout: Layout, seen: Forecast, limit: str, warm: dict[str, Warm] | None = None) -> LimitOutlook:
    found = project(layout, seen, offsets(layout), warm)
    return next(x for x in found.limits if x.limit == limit and x.side == "high")


def current_a(layout: Layout, a_w: float) -> float:
    """Current of the transformer by one AC power flow."""
    injection = np.zeros(2 * layout.n_w)
    for bus, p_w in (("BB", 0.5e6), ("A", -a_w), ("B", -1.0e6)):
        injection[layout.grid.injection_index(bus)] += p_w
    return float(layout.grid.solve(injection).i_a[layout.grid.n_line])


def test_an_excess_is_what_the_power_flow_of_that_future_says() -> None:
    layout, _ = kit.station()
    seen = sunny(layout, (2.8e6, 2.8e6, 2.8e6))
    limit = next(x for x in layout.site.limits if x.element == "T")
    found = outlook(layout, seen, limit.id)
    expected_w = SQRT3 * 11e3 * (current_a(layout, 2.8e6) - limit.high)
    assert expected_w > 2e5
    assert found.excess_w == pytest.approx(np.full(4, expected_w), rel=1e-9)
    assert found.probability.tolist() == [1.0] * 4


def test_probability_is_the_share_of_futures_that_break_the_limit() -> None:
    """Excess −1, 0.5, 1 at levels 0.1, 0.5, 0.9: zero is crossed at 0.1 + 0.4 · 2/3, beyond it 63 % of the futures."""
    probability, covered = spread_over_futures(LEVELS, np.array([[-1.0], [0.5], [1.0]]))
    assert probability[0] == pytest.approx(1.0 - (0.1 + 0.4 * 2.0 / 3.0), abs=0.003)
    assert covered[0] == pytest.approx(1.0, abs=0.01)
    falling, _ = spread_over_futures(LEVELS, np.array([[1.0], [0.5], [-1.0]]))
    assert falling[0] == pytest.approx(probability[0], abs=0.003)


def test_buying_what_is_needed_is_enough_in_as_many_futures_as_promised() -> None:
    layout, _ = kit.station()
    seen = sunny(layout, (2.0e6, 2.6e6, 3.0e6))
    limit = next(x for x in layout.site.limits if x.element == "T")
    need = next(n for n in needs(layout, project(layout, seen, offsets(layout))) if n.limit == limit.id)
    relief_w = need.power_w[0] / need.relief_bus_pu["A"]
    a_w = float(np.interp(COVER_FRAC, LEVELS, (2.0e6, 2.6e6, 3.0e6)))
    assert current_a(layout, a_w - relief_w) == pytest.approx(limit.high, rel=0.01)
    assert current_a(layout, a_w) > 1.02 * limit.high


def test_location_sensitivity_agrees_with_moving_one_bus_in_the_power_flow() -> None:
    layout, _ = kit.station()
    seen = sunny(layout, (2.9e6, 2.9e6, 2.9e6))
    limit = next(x for x in layout.site.limits if x.element == "T")
    found = outlook(layout, seen, limit.id)
    moved_w = 1e5
    truth = SQRT3 * 11e3 * (current_a(layout, 2.9e6) - current_a(layout, 2.9e6 - moved_w)) / moved_w
    assert found.relief_bus_pu[layout.grid.injection_index("A")] == pytest.approx(truth, rel=0.03)


def test_a_voltage_that_rises_is_asked_for_where_it_helps_most() -> None:
    layout, _ = kit.station()
    tight = (Limit("A.voltage", LimitKind.VOLTAGE, "A", 11.1e3, 9.9e3),)
    layout = Layout(replace(layout.site, limits=tight), layout.grid)
    seen = sunny(layout, (2.9e6, 2.9e6, 2.9e6))
    need = next(n for n in needs(layout, project(layout, seen, offsets(layout))))
    assert need.side == "high"
    assert need.relief_bus_pu["A"] == pytest.approx(1.0)
    assert abs(need.relief_bus_pu["B"]) < 0.6
    injection = np.zeros(2 * layout.n_w)
    for bus, p_w in (("BB", 0.5e6), ("A", -2.9e6 + need.power_w[0]), ("B", -1.0e6)):
        injection[layout.grid.injection_index(bus)] += p_w
    assert float(layout.grid.solve(injection).u_v[layout.grid.buses.index("A")]) == pytest.approx(11.1e3, abs=2.0)


def test_an_import_limit_needs_less_consumption_not_more() -> None:
    layout, _ = kit.station()
    tight = (Limit("import", LimitKind.IMPORT, "interface", 0.2e6),)
    layout = Layout(replace(layout.site, limits=tight), layout.grid)
    seen = sunny(layout, (0.0, 0.0, 0.0))
    seen.value[:, :, -2] = 0.0
    need = next(n for n in needs(layout, project(layout, seen, offsets(layout))))
    assert need.power_w[0] == pytest.approx(0.3e6, rel=0.03)
    assert need.relief_unit_pu["SUN_A"] < -0.9


def warm_layout() -> tuple[Layout, Limit]:
    """The station with a transformer that may be overloaded for a while."""
    layout, _ = kit.station()
    topo = layout.site.topology
    transformer = replace(topo.transformers[0], thermal=ONAN)
    topo = replace(topo, transformers=(transformer,))
    limit = Limit("T.thermal", LimitKind.THERMAL, "T", 1.5 * transformer.i_rated_a, rated=transformer.i_rated_a)
    return Layout(replace(layout.site, topology=topo, limits=(limit,)), GridModel(topo)), limit


def test_a_cold_transformer_carries_the_peak_that_a_hot_one_cannot() -> None:
    layout, _ = warm_layout()
    seen = sunny(layout, (3.0e6, 3.0e6, 3.0e6), quarters=4)
    ambient = np.full(4, 20.0)
    cold = outlook(layout, seen, "T.thermal", {"T": Warm(cold_state(20.0), ambient)})
    hot = outlook(layout, seen, "T.thermal", {"T": Warm(steady_state(parameters_of(ONAN), 1.4, 30.0), ambient + 10.0)})
    assert cold.excess_w[0] < 0.0 < hot.excess_w[0]
    assert cold.probability[0] == 0.0


def test_a_transformer_of_unknown_temperature_is_held_to_its_rating() -> None:
    layout, limit = warm_layout()
    seen = sunny(layout, (3.0e6, 3.0e6, 3.0e6))
    found = outlook(layout, seen, "T.thermal")
    assert found.excess_w[0] == pytest.approx(SQRT3 * 11e3 * (current_a(layout, 3.0e6) - limit.rated_high), rel=1e-6)


def test_an_overload_that_lasts_shrinks_what_is_left_for_later() -> None:
    layout, _ = warm_layout()
    seen = sunny(layout, (3.2e6, 3.2e6, 3.2e6), quarters=24)
    found = outlook(layout, seen, "T.thermal", {"T": Warm(cold_state(30.0), np.full(24, 30.0))})
    assert np.all(np.diff(found.excess_w) >= -1e-6)
    assert found.excess_w[-1] > found.excess_w[0] + 1e5


def test_nothing_is_asked_for_while_there_is_room() -> None:
    layout, _ = kit.station()
    assert needs(layout, project(layout, sunny(layout, (0.5e6, 0.6e6, 0.7e6)), offsets(layout))) == []
