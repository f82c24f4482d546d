"""How warm transformers are, from what the control process publishes to what the projection begins from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from controller.balancing.lookout import Lookout
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.cycle import step as cycle
from controller.control.state import initial_state
from controller.domain.measurement import Measurement, Quality
from controller.domain.snapshot import Snapshot
from controller.domain.topology import Transformer
from controller.estimation.transformer_state import parameters_of
from controller.history.batch import Batch, Sample
from controller.history.collect import Collector
from controller.history.store import Store
from controller.limits.transformer import HotSpotMemory
from controller.physics.transformer_thermal import ThermalState, cold_state, steady_state
from controller.planning.projection import LimitOutlook
from controller.planning.warmth import FACTS, warmth_of
from controller.runtime.publish import jsonable

SITE = load_site(find_site("cold_transformer"))
NIGHT_S = datetime(2026, 1, 14, 1, 0, tzinfo=UTC).timestamp()
PERIOD_S = 300
(TRANSFORMER,) = SITE.topology.transformers
THERMAL = TRANSFORMER.thermal
assert THERMAL is not None
COLD, HOT = cold_state(2.0), steady_state(parameters_of(THERMAL), 1.3, 20.0)


def facts(state: ThermalState, **changes: float) -> dict[str, float]:
    """As the history has them of T1, after two degrees measured outside."""
    found = {
        "top_oil_c": state.top_oil_c,
        "hot_spot_c": state.hot_spot_c,
        "rise_fast_k": state.rise_fast_k,
        "rise_slow_k": state.rise_slow_k,
        "ambient_c": 2.0,
        "hot_spot_c_max": 110.0,
        "proven": 1.0,
    }
    return {f"limit.T1.thermal.{name}": value for name, value in (found | changes).items()}


def windy(folder: Path, warm: Mapping[str, float], share: float = 0.75) -> LimitOutlook:
    """The transformer's outlook after an hour of wind at that share of what is there, and these facts."""
    buses = [Sample(f"bus.{b.id}.{q}", 1, 0.0, 0.0, 0.0) for b in SITE.topology.buses for q in ("p_w", "q_var")]
    given = [(u.id, share * u.p_rated_w if u.kind.generates else 0.0) for u in SITE.units]
    units = [Sample(f"unit.{name}.{q}", 1, w, w, w) for name, x in given for q, w in (("p_avail_w", x), ("p_w", -x))]
    known = [Sample(name, 1, x, x, x) for name, x in warm.items()]
    with closing(Store(folder, SITE.name)) as store:
        for back in range(12, 0, -1):
            store.append(Batch(int(NIGHT_S) - back * PERIOD_S, PERIOD_S, (*buses, *units, *known)))
    found = Lookout(SITE, folder, SITE.timezone, 2 * 3600.0).look(NIGHT_S)
    return next(x for x in found.limits if x.limit == "T1.thermal")


def need_w(outlook: LimitOutlook) -> float:
    return float(np.maximum(outlook.excess_w, 0.0).sum())


def folder(root: Path, name: str) -> Path:
    made = root / name
    made.mkdir()
    return made


def test_a_warm_transformer_needs_more_than_a_cold_one_at_the_same_load(tmp_path: Path) -> None:
    """On a warm night. Nobody knows: its rating counts. Known to be hot: less, until it has cooled. Cold: more."""
    nobody = windy(folder(tmp_path, "a"), {})
    hot = windy(folder(tmp_path, "b"), facts(HOT, ambient_c=28.0))
    cold = windy(folder(tmp_path, "c"), facts(COLD, ambient_c=28.0))
    assert hot.excess_w[0] > nobody.excess_w[0] > cold.excess_w[0]
    assert need_w(hot) > need_w(cold) + 1e6


def test_a_cold_transformer_that_nothing_proves_cold_gets_no_more_than_its_rating(tmp_path: Path) -> None:
    unproven = windy(folder(tmp_path, "a"), facts(COLD, proven=0.9))
    nobody = windy(folder(tmp_path, "b"), {})
    assert unproven.excess_w == pytest.approx(nobody.excess_w, abs=1.0)


def test_paper_that_has_aged_today_leaves_less(tmp_path: Path) -> None:
    fresh = windy(folder(tmp_path, "a"), facts(HOT))
    aged = windy(folder(tmp_path, "b"), facts(HOT, hot_spot_c_max=98.0))
    assert need_w(aged) > need_w(fresh) + 1e5


@pytest.mark.parametrize(
    "changes",
    [
        {"hot_spot_c": COLD.hot_spot_c + 20.0},
        {"top_oil_c": 1e4, "hot_spot_c": 1e4},
        {"ambient_c": -200.0},
        {"rise_fast_k": float("nan")},
    ],
)
def test_what_makes_no_sense_together_counts_as_nothing_known(changes: dict[str, float]) -> None:
    assert warmth_of(SITE, facts(COLD), NIGHT_S, 8).keys() == {"T1"}
    assert warmth_of(SITE, facts(COLD, **changes), NIGHT_S, 8) == {}
    without = {name: value for name, value in facts(COLD).items() if not name.endswith(next(iter(changes)))}
    assert warmth_of(SITE, without, NIGHT_S, 8) == {}


def test_the_air_goes_from_what_is_measured_to_the_month_s_design_weather_and_never_cools() -> None:
    january = warmth_of(SITE, facts(COLD), NIGHT_S, 40)["T1"].ambient_c
    assert (january[0], january[12], january[24], january[39]) == (2.0, 7.0, 12.0, 12.0)
    hot_day = warmth_of(SITE, facts(COLD, ambient_c=20.0), NIGHT_S, 4)["T1"].ambient_c
    assert hot_day.tolist() == [20.0] * 4


def test_a_closed_room_s_surcharge_is_not_counted_twice() -> None:
    thermal = replace(THERMAL, ambient_surcharge_k=10.0)
    transformer: Transformer = replace(TRANSFORMER, thermal=thermal)
    site = replace(SITE, topology=replace(SITE.topology, transformers=(transformer,)))
    assert warmth_of(site, facts(COLD, ambient_c=12.0), NIGHT_S, 1)["T1"].ambient_c.tolist() == [2.0]


def test_the_record_of_a_cycle_carries_the_whole_state_into_the_history() -> None:
    """What the station keeps of a cycle gives the temperatures that the control process has, to rounding."""
    state = initial_state(SITE)
    air = Measurement(4.0, Quality.GOOD, 0.0, 0.0)
    state, record = cycle(SITE, state, Snapshot(0.0, {"ambient.temp_c": air}, NIGHT_S))
    collector = Collector()
    collector.take(jsonable(record.to_dict()) | {"utc": "2026-01-14T01:00:00+00:00"})
    batch = collector.close()
    assert batch is not None
    stored = {sample.point: sample.mean for sample in batch.samples}
    assert {f"limit.T1.thermal.{fact}" for fact in FACTS} <= stored.keys()
    memory = state.reasons["transformer.T1"]
    assert isinstance(memory, HotSpotMemory)
    warm = warmth_of(SITE, stored, NIGHT_S, 1)["T1"]
    assert repr(warm.state) == repr(memory.warmth.state)
    assert warm.ambient_c.tolist() == [4.0]
    assert warm.hot_spot_c_max == 110.0
