"""A branch out of service is a branch that is not there: flows and slopes are those of a network without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_slopes import ring, working_point

from controller.domain.topology import Topology
from controller.grid.model import VARIANTS_MAX, GridModel, LinearGrid

OUT = ("R1", "R2", "R3", "T1B")


def lacking(topology: Topology, branch: str) -> Topology:
    """The topology of somebody who never heard of the branch."""
    return replace(
        topology,
        lines=tuple(x for x in topology.lines if x.id != branch),
        transformers=tuple(x for x in topology.transformers if x.id != branch),
    )


def all_but(topology: Topology, branch: str) -> list[int]:
    return [k for k, b in enumerate(topology.branches) if b.id != branch]


@pytest.mark.parametrize("branch", OUT)
def test_flows_and_voltages_are_those_of_a_network_that_never_had_it(branch: str) -> None:
    with_it, never = GridModel(ring()), GridModel(lacking(ring(), branch))
    at, keep = working_point(with_it), all_but(ring(), branch)
    out, expected = with_it.without(frozenset({branch})).solve(at), never.solve(at)
    assert out.u_v == pytest.approx(expected.u_v, rel=1e-9)
    for quantity in ("p_w", "q_var", "i_a"):
        assert getattr(out, quantity)[keep] == pytest.approx(getattr(expected, quantity), rel=1e-6, abs=1e-3)
    gone = next(k for k in range(len(ring().branches)) if k not in keep)
    assert out.i_a[gone] == 0.0
    assert out.interface_p_w == pytest.approx(expected.interface_p_w, rel=1e-9)


@pytest.mark.parametrize("branch", OUT)
def test_its_slopes_are_theirs_and_nothing_moves_it(branch: str) -> None:
    with_it, never = GridModel(ring()), GridModel(lacking(ring(), branch))
    at, keep = working_point(with_it), all_but(ring(), branch)
    out, expected = with_it.without(frozenset({branch})).linearise(at), never.linearise(at)
    for rows in (LinearGrid.rows_u, LinearGrid.rows_interface):
        assert out.jacobian[rows(out)] == pytest.approx(expected.jacobian[rows(expected)], rel=1e-6, abs=1e-12)
    for quantity in ("p_w", "q_var", "i_p_a", "i_q_a"):
        mine, theirs = out.jacobian[out.rows_branch(quantity)], expected.jacobian[expected.rows_branch(quantity)]
        assert mine[keep] == pytest.approx(theirs, rel=1e-6, abs=1e-9)
        assert not np.delete(mine, keep, axis=0).any()


def test_the_same_branches_out_are_the_same_model_and_only_so_many_are_kept() -> None:
    model = GridModel(ring())
    one = model.without(frozenset({"R1"}))
    assert model.without(frozenset({"R1"})) is one
    assert model.without(frozenset()) is model
    for k in range(VARIANTS_MAX):
        model.without(frozenset({"R1", f"nobody {k}"}))
    assert model.without(frozenset({"R1"})) is not one
