"""What passes a meter shows there: a jump that it must have seen and has not is doubted, one it has seen is not."""

from __future__ import annotations

import core_kit as kit
import numpy as np
import pytest

from controller.estimation.layout import Layout
from controller.estimation.onlookers import Onlookers
from controller.grid.model import GridModel

SITE = kit.site()
LAYOUT = Layout(SITE, GridModel(SITE.topology))
UNIT, BRANCHES = [u.id for u in SITE.units].index("WIND"), len(SITE.topology.branches)
ROW = 2 * BRANCHES + 2 + UNIT  # of the unit's P
JUMP_W = 1e6


def asked(question: str, seen_frac: float, noise: float = 0.0) -> bool:
    """What is said of a jump of the unit of which every branch and the interface show so much, plus so many sigmas."""
    innovation = np.zeros(len(LAYOUT.row_scale))
    innovation[: 2 * BRANCHES + 1] = seen_frac * JUMP_W + noise * LAYOUT.row_sigma[: 2 * BRANCHES + 1]
    innovation[ROW] = JUMP_W
    far = np.arange(len(innovation)) == ROW
    return bool(getattr(Onlookers(LAYOUT), question)(innovation, far)[ROW])


@pytest.mark.parametrize("seen_frac", [0.75, 0.95, 1.0, 1.3])
def test_a_jump_that_the_meters_above_show_as_well_is_confirmed(seen_frac: float) -> None:
    assert asked("confirm", seen_frac)
    assert not asked("deny", seen_frac)


@pytest.mark.parametrize("seen_frac", [0.0, 0.2, 0.5, 2.0, np.nan])
def test_one_of_which_they_show_another_size_or_nothing_is_not(seen_frac: float) -> None:
    assert not asked("confirm", seen_frac)


def test_noise_of_the_meters_above_confirms_nothing() -> None:
    """A jump of as little as five of their sigmas: any of them shows as much by chance now and then."""
    small = Onlookers(LAYOUT)
    innovation, far = np.zeros(len(LAYOUT.row_scale)), np.arange(len(LAYOUT.row_scale)) == ROW
    innovation[: 2 * BRANCHES] = 5.0 * LAYOUT.row_sigma[: 2 * BRANCHES]
    for branch in range(BRANCHES):
        innovation[ROW] = innovation[branch]
        assert not small.confirm(innovation, far).any()
