"""When a breaker opens, the loop knows the network that is left, by what its meters read and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import Line, Topology
from controller.estimation.layout import Layout
from controller.estimation.readings import Reading
from controller.estimation.sensitivities import first_sensitivities
from controller.estimation.switching import Switching
from controller.grid.model import GridModel

T1 = replace(kit.topology().transformers[0], sn_va=7e6, s_max_va=7e6)
PARALLEL = replace(kit.topology(), transformers=(T1, replace(T1, id="T2")))
TIE = Line("L3", "N1", "N2", 0.4, 0.5, 2e-6, 500.0)
RING = replace(kit.topology(), lines=(*kit.topology().lines, TIE))
AVAILABLE = {"WIND": 8e6, "PV": 4e6, "HUB": 1e6}


def site_of(topology: Topology, limited: tuple[str, ...]) -> Site:
    """The kit's two generators in that network, with a thermal limit at these branches and a wide band of voltage."""
    rating = {b.id: b.i_max_a for b in topology.branches}
    limits = tuple(Limit(f"{b}.thermal", LimitKind.THERMAL, b, rating[b]) for b in limited)
    names = [f"branch.{b.id}.{q}" for b in topology.branches for q in ("p_w", "q_var", "i_a")]
    names += [f"bus.{b.id}.u_v" for b in topology.buses] + ["interface.p_w", "interface.q_var"]
    meter = replace(kit.site().devices[0], feeds={n: n for n in names})
    made = kit.site(kit.two_units(), topology=topology, limits=limits)
    return replace(made, devices=(meter, *made.devices[1:]))


class Switched(kit.Plant):
    """The plant, some of whose branches are open: its network is another topology, which the controller is not told."""

    def __init__(self, of: Site) -> None:
        super().__init__(of, AVAILABLE)
        self.whole, self.out = of, frozenset[str]()

    def switch(self, *out: str) -> None:
        """Open just these branches."""
        self.out, whole = frozenset(out), self.whole.topology
        left = replace(
            whole,
            lines=tuple(x for x in whole.lines if x.id not in self.out),
            transformers=tuple(x for x in whole.transformers if x.id not in self.out),
        )
        self.site = replace(self.whole, topology=left)
        self.grid = GridModel(left)

    def truth(self) -> dict[str, float]:
        nothing = {f"branch.{b}.{q}": 0.0 for b in self.out for q in ("p_w", "q_var", "i_a")}
        return super().truth() | nothing


class Loop(kit.Loop):
    """Cycles whose loadings are looked at; the site file names every branch all the time."""

    def __init__(self, plant: Switched) -> None:
        self.switched, self.state, self.records = plant, kit.initial_state(plant.whole), []
        self.loading: list[float] = []

    def run(self, cycles: int, without: Callable[[str], bool] = lambda _: False) -> None:  # type: ignore[override]
        for _ in range(cycles):
            self.state, record = kit.step(self.switched.whole, self.state, self.switched.snapshot(without))
            self.records.append(record)
            self.switched.command(record)
            self.switched.move(1.0)
            truth = self.switched.truth()
            self.loading.append(max(truth[f"branch.{x.element}.i_a"] / x.high for x in self.switched.whole.limits))

    def told(self, name: str) -> list[tuple[float, str]]:
        return [(round(r.now_s), e.subject) for r in self.records for e in r.events if e.name == name]


def test_a_parallel_transformer_that_trips_is_known_in_the_cycle_that_reads_it() -> None:
    plant = Switched(site_of(PARALLEL, ("T1", "T2")))
    loop = Loop(plant)
    loop.run(40)
    assert max(loop.loading[20:]) < 0.85  # both together have room for all
    plant.switch("T2")
    loop.run(60)
    assert loop.told("branch.out_of_service") == [(40, "T2")]
    assert loop.loading[40] > 1.05  # a second after it was read: what dead time and lag have left
    assert max(loop.loading[45:]) < 1.01
    assert np.mean(loop.loading[70:]) > 0.97  # what is left is used
    plant.switch()
    loop.run(40)
    assert loop.told("branch.in_service") == [(100, "T2")]
    assert max(loop.loading[100:]) < 1.01
    assert sum(u.curtailed_w for u in loop.records[-1].units) < 0.02e6


def test_a_meter_that_dies_at_zero_opens_nothing() -> None:
    plant = Switched(site_of(PARALLEL, ("T1", "T2")))
    truth, loop = plant.truth, Loop(plant)
    loop.run(40)
    dead = {f"branch.T2.{q}": 0.0 for q in ("p_w", "q_var", "i_a")}
    said = plant.snapshot
    plant.truth = lambda: truth() | dead  # type: ignore[method-assign]
    for _ in range(40):
        loop.state, record = kit.step(plant.whole, loop.state, said())
        loop.records.append(record)
        plant.command(record)
        plant.move(1.0)
    assert not loop.told("branch.out_of_service")


def test_a_ring_that_is_opened_carries_all_on_its_other_way() -> None:
    plant = Switched(site_of(RING, ("L1", "L2", "L3")))
    loop = Loop(plant)
    loop.run(40)
    plant.switch("L1")
    loop.run(40)
    assert loop.told("branch.out_of_service") == [(40, "L1")]
    assert max(loop.loading[46:]) < 1.01
    plant.switch("L3")
    loop.run(40)
    assert loop.told("branch.in_service") == [(80, "L1")]
    assert (80, "L3") in loop.told("branch.out_of_service") or (81, "L3") in loop.told("branch.out_of_service")
    assert max(loop.loading[86:]) < 1.01


def test_a_transformer_that_is_out_from_the_beginning_is_found_out() -> None:
    plant = Switched(site_of(PARALLEL, ("T1", "T2")))
    plant.switch("T2")
    loop = Loop(plant)
    loop.run(40)
    assert loop.told("branch.out_of_service")
    assert max(loop.loading[10:]) < 1.01


def test_where_nothing_forms_a_loop_nothing_is_looked_for() -> None:
    assert not Switching(Layout(kit.site(), GridModel(kit.topology()))).possible


@pytest.mark.parametrize("off_frac", [0.0, 0.03])
def test_an_idle_branch_whose_neighbours_read_as_expected_stays_in_service(off_frac: float) -> None:
    """At night nothing flows through either transformer: that proves no breaker open."""
    layout = Layout(site_of(PARALLEL, ("T1",)), GridModel(PARALLEL))
    switching, injection = Switching(layout), np.zeros(2 * layout.n_w)
    used = first_sensitivities(layout, injection, 0.0)
    rows = np.zeros(len(layout.row_scale))
    rows[[b.id for b in PARALLEL.branches].index("T1")] = off_frac * T1.s_max_va
    _, after = switching.update(switching.initial(), Reading(rows, np.zeros(len(rows))), used, injection, 0.0)
    assert after is used
