"""Room kept for the next misfortune, and only as much as could not be taken back."""

from __future__ import annotations

import core_kit as kit
import numpy as np
import pytest

from controller.control.dispatch import Effects
from controller.control.headroom import kept_free, uncovered
from controller.control.resources import Resources
from controller.estimation.actuator import UnitArrays

SITE = kit.site(kit.four_units())
R = Resources.of(SITE, UnitArrays.of(SITE))
WIND, PV, BAT = 0, 1, 2
PER_W = 1e-7  # 10 MW of generation are the whole limit
EFFECT = Effects(np.where(R.sign < 0.0, PER_W, -PER_W)[None, :], np.zeros((1, 4)))


def missing_w(p_mw: list[float], safe_mw: list[float], reverts: list[bool], deaf: list[bool]) -> float:
    p_w = np.array(p_mw) * 1e6
    found = uncovered(EFFECT, R, R.output_w(p_w), p_w, np.array(safe_mw) * 1e6, np.array(reverts), np.array(deaf))
    return float(found[0] / PER_W)


def test_nothing_is_held_free_while_others_could_take_back_what_a_dead_link_adds() -> None:
    charging, generating = 2.0, -5.0
    assert missing_w([generating, 0.0, charging, 0.0], [0.0] * 4, [True] * 4, [False] * 4) == 0.0


def test_a_charging_battery_that_nobody_could_replace_is_not_relied_upon() -> None:
    """Only the battery stands between the uncontrolled export and the limit; its link dies and it stops charging."""
    assert missing_w([0.0, 0.0, 2.0, 0.0], [0.0] * 4, [True] * 4, [False] * 4) == pytest.approx(2e6)


def test_a_unit_that_holds_its_set_point_when_its_link_dies_adds_nothing() -> None:
    assert missing_w([0.0, 0.0, 2.0, 0.0], [0.0] * 4, [False] * 4, [False] * 4) == 0.0


def test_the_deaf_are_counted_at_their_rating_as_far_as_the_others_cannot_make_up_for_it() -> None:
    covered = missing_w([-6.0, -4.0, 0.0, 0.0], [0.0] * 4, [False] * 4, [False, True, False, False])
    assert covered == 0.0  # PV could add 2 MW, WIND could give back 6 MW
    alone = missing_w([-0.5, -4.0, 0.0, 0.0], [0.0] * 4, [False] * 4, [False, True, False, False])
    assert alone == pytest.approx(2e6 - 0.5e6)


def test_nobody_is_cut_for_what_the_deaf_have_not_done() -> None:
    """Cutting those who obey would leave the worst case as it is: they could not be cut again when it comes."""
    kept = kept_free(np.array([0.3, 0.1, -0.02]), np.array([0.2, 0.2, 0.2]))
    assert kept.tolist() == pytest.approx([0.1, 0.0, -0.02])
