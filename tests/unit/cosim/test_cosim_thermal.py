"""What a co-simulated network may say about temperatures: taken where it is said, refused where it makes no sense."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import cosim_kit as kit
import pytest

from controller.cosim import Session, snapshot_of
from controller.cosim_site import site_from_reset
from controller.domain.limit import LimitKind
from controller.domain.site import Site


def reset(**transformer: Any) -> dict[str, Any]:
    message: dict[str, Any] = copy.deepcopy(kit.reset())
    message["network"]["transformers"][0] |= transformer
    return message


def site(message: dict[str, Any]) -> Site:
    return site_from_reset(message["network"], message["scenario"])


def limit_of(made: Site, branch: str) -> Any:
    return next(x for x in made.limits if x.kind is LimitKind.THERMAL and x.element == branch)


def test_a_network_that_says_nothing_has_static_limits() -> None:
    made = site(reset())
    assert made.topology.transformers[0].thermal is None
    assert all(x.high == x.rated_high for x in made.limits)


def test_a_thermal_block_takes_the_rest_from_its_cooling_class_and_ignores_what_it_does_not_know() -> None:
    block = {"cooling": "ONAF", "top_oil_rise_k": 50, "load_pu_max": 1.3, "colour": "green", "paper": "upgraded"}
    made = site(reset(thermal=block))
    transformer = made.topology.transformers[0]
    assert transformer.thermal is not None
    assert (transformer.thermal.top_oil_rise_k, transformer.thermal.tau_oil_s) == (50.0, 9000.0)
    assert transformer.thermal.upgraded_paper
    limit = limit_of(made, transformer.id)
    assert limit.high == pytest.approx(max(1.3 * transformer.i_rated_a, transformer.i_max_a))
    assert limit.rated_high == transformer.i_max_a


def test_lines_may_have_cables_conductors_and_seasons() -> None:
    message = reset()
    line = message["network"]["lines"][0]
    line["cable"] = {"time_constant_s": 7200, "load_pu_max": 1.2}
    line["ratings"] = [{"name": "summer", "months": [6, 7, 8], "i_max_a": 0.8 * line["i_max_a"]}]
    made = site(message)
    limit = limit_of(made, line["id"])
    assert (limit.high, limit.rated_high) == pytest.approx((1.2 * line["i_max_a"], 0.8 * line["i_max_a"]))
    assert made.topology.lines[0].cable is not None


def test_weather_is_one_temperature_or_twelve() -> None:
    message = reset()
    message["network"]["weather"] = {"ambient_c": 25, "wind_m_per_s": 1.0}
    assert site(message).weather.ambient_c == (25.0,) * 12
    message["network"]["weather"] = {"ambient_c": list(range(12))}
    assert site(message).weather.ambient_c[11] == 11.0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"thermal": {"cooling": "ice"}}, "cooling"),
    ({"thermal": {"top_oil_rise_k": "warm"}}, "top_oil_rise_k"),
    ({"thermal": {"load_pu_max": math.nan}}, "load_pu_max"),
    ({"ratings": [{"name": "x", "i_max_a": 3}]}, "neither months"),
    ({"ratings": [{"name": "x", "first_day": "May", "last_day": "06-01", "i_max_a": 3}]}, "first_day"),
]


@pytest.mark.parametrize(("change", "names"), WRONG)
def test_what_makes_no_sense_is_refused_by_its_name(change: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        site(reset(**change))


def test_a_message_may_say_the_time_of_day_and_temperatures() -> None:
    message = {"t_s": 5.0, "t_sample_s": 4.5, "values": {"ambient.temp_c": 7.5}}
    assert math.isnan(snapshot_of(message).utc_s)
    snapshot = snapshot_of(message | {"utc_s": 1.78e9})
    assert (snapshot.utc_s, snapshot.get("ambient.temp_c").value) == (1.78e9, 7.5)


def test_a_course_with_a_thermal_transformer_runs() -> None:
    session = Session()
    message = reset(thermal={"load_pu_max": 1.3})
    assert session.handle(json.loads(json.dumps(message))) is None
    answer = session.handle(kit.measurement(0.0) | {"utc_s": 1.78e9})
    assert answer is not None
    assert "setpoints" in answer
