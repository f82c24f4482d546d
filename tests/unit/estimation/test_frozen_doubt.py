"""A meter that may have stopped teaches nothing new: the estimate follows the others before the proof is complete."""

from __future__ import annotations

import core_kit as kit
import numpy as np
import pytest

from controller.control.engine import Engine
from controller.domain.snapshot import Snapshot
from controller.estimation.actuator import CommandHistory
from controller.estimation.plausibility import CHANCE, DOUBT, SAME_LOW

LIVED = 40  # cycles in which every digit moved
STOPPED = ("branch.T1", "interface")


def shares_seen(rise_w_per_s: float, stopped: tuple[str, ...], cycles: int) -> list[float]:
    """Loading of the transformer as estimated less the truth, cycle by cycle after ``stopped`` repeat themselves."""
    site = kit.site(kit.two_units())
    plant, engine = kit.Plant(site, {"WIND": 4e6, "PV": 3e6}), Engine(site)
    memory, held = engine.estimator.initial(0.0), np.zeros(2, dtype=bool)
    history = CommandHistory(np.array([-np.inf]), engine.open_p_w[None, :], np.zeros((1, 2)))
    branch, i_max_a = [b.id for b in site.topology.branches].index("T1"), site.topology.transformers[0].s_max_va
    i_max_a /= 3.0**0.5 * 11e3
    kept: dict[str, float] = {}
    out = []
    for k in range(LIVED + cycles):
        values = {name: m.value for name, m in plant.snapshot().points.items()}
        if k == LIVED - 1:
            kept = {name: v for name, v in values.items() if name.startswith(stopped)}
        seen: Snapshot = kit.snapshot_of(plant.now_s, values | (kept if k >= LIVED else {}))
        memory, estimate = engine.estimator.update(memory, seen, history, held)
        if k >= LIVED:
            here_a = np.hypot(estimate.branch_ip_a[branch], estimate.branch_iq_a[branch])
            out.append((here_a - plant.truth()["branch.T1.i_a"]) / i_max_a)
        plant.available_w["WIND"] += rise_w_per_s if k >= LIVED - 1 else 0.0
        plant.move(1.0)
    return out


def test_what_repeats_itself_is_doubted_long_before_it_is_proven_frozen() -> None:
    assert np.log(DOUBT) / np.log(SAME_LOW) < 0.5 * np.log(CHANCE) / np.log(SAME_LOW)


@pytest.mark.parametrize("rise_w_per_s", [60e3, 120e3])
def test_a_transformer_whose_meter_stops_while_generation_rises_is_hardly_underestimated(rise_w_per_s: float) -> None:
    assert min(shares_seen(rise_w_per_s, STOPPED, 8)) > -0.005 * rise_w_per_s / 60e3


def test_live_meters_see_the_same_rise_exactly() -> None:
    assert min(shares_seen(120e3, (), 8)) > -0.002
