"""Missing data never relaxes: whoever knows less gives nobody more."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.cycle import step
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord
from controller.domain.snapshot import Snapshot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "control"))
import core_kit as kit

NETWORK = [f"branch.{b}.{q}" for b in ("T1", "L1", "L2") for q in ("p_w", "q_var", "i_a")]
NETWORK += ["interface.p_w", "interface.q_var", *(f"bus.{b}.u_v" for b in ("BB", "N1", "N2"))]
BLINDNESS_S = 25
EXTRA_FRAC = 0.004  # of all ratings: what two estimates of the same calm plant may differ by


def settled(binding: str, town_w: float) -> kit.Loop:
    """Two generators held by one limit, in a calm plant; the town may draw as little as it ever does."""
    site = kit.site(kit.two_units(WIND={"price_eur_per_mwh": 40.0}))
    site = replace(site, limits=tuple(x for x in site.limits if x.id == binding))
    loop = kit.Loop(kit.Plant(site, {"WIND": 8e6, "PV": 6e6}, town_w=town_w))
    record = loop.run(60)
    assert record.limits[0].binding
    return loop


CASES = {(limit, town_w): settled(limit, town_w) for limit in ("export", "T1.thermal") for town_w in (1e6, 2e6, 3.5e6)}


def without(snapshot: Snapshot, names: set[str], how: str, since_s: float) -> Snapshot:
    """The snapshot with those points missing, bad, or as old as since second ``since_s``."""
    points = dict(snapshot.points)
    for name in names & set(points):
        m = points.pop(name)
        if how == "aged":
            points[name] = Measurement(m.value, Quality.GOOD, since_s, m.received_at_s)
        elif how == "stale":
            points[name] = Measurement(m.value, Quality.STALE, since_s, m.received_at_s)
    return Snapshot(snapshot.now_s, points)


def go_on(loop: kit.Loop, names: set[str], how: str) -> list[CycleRecord]:
    """What the controller does from here while it does not get ``names``; the loop itself is left alone."""
    plant, state, records = deepcopy(loop.plant), loop.state, []
    since_s = plant.now_s
    for _ in range(BLINDNESS_S):
        state, record = step(plant.site, state, without(plant.snapshot(), names, how, since_s))
        records.append(record)
        plant.command(record)
        plant.move(1.0)
    return records


def generation_w(record: CycleRecord) -> float:
    return sum(-s.p_w for s in record.setpoints)


@pytest.mark.parametrize("case", sorted(CASES))
@settings(max_examples=20)
@given(
    names=st.sets(st.sampled_from(NETWORK), min_size=1),
    how=st.sampled_from(["missing", "stale", "aged"]),
)
def test_whoever_sees_less_allows_no_more(case: tuple[str, float], names: set[str], how: str) -> None:
    loop = CASES[case]
    seeing, blind = go_on(loop, set(), how), go_on(loop, names, how)
    rated_w = sum(u.p_rated_w for u in loop.plant.site.units)
    for full, less in zip(seeing, blind, strict=True):
        assert generation_w(less) <= generation_w(full) + EXTRA_FRAC * rated_w, f"{case} without {sorted(names)}"


@pytest.mark.parametrize("case", sorted(CASES))
def test_blindness_tightens_as_it_lasts(case: tuple[str, float]) -> None:
    loop = CASES[case]
    element = "interface" if case[0] == "export" else "branch.T1"
    records = go_on(loop, {n for n in NETWORK if n.startswith((element, "branch.T1", "interface"))}, "missing")
    worst = [r.limits[0].worst_frac - r.limits[0].loading_frac for r in records]
    assert worst[-1] > worst[0]
    assert generation_w(records[-1]) < generation_w(records[0])


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_true_limit_is_kept_while_its_meters_are_gone(case: tuple[str, float]) -> None:
    """Blind to transformer and interface, with a town that draws other than expected."""
    loop = CASES[case]
    plant, state = deepcopy(loop.plant), loop.state
    names = {n for n in NETWORK if n.startswith(("branch.T1", "interface"))}
    limit = plant.site.limits[0]
    for _ in range(120):
        state, record = step(plant.site, state, without(plant.snapshot(), names, "missing", 0.0))
        plant.command(record)
        plant.move(1.0)
        truth = plant.truth()
        value = -truth["interface.p_w"] if limit.id == "export" else truth["branch.T1.i_a"]
        assert value <= limit.high
