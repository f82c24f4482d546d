"""How fast the hot-spot temperature wears out the winding's paper, after IEC 60076-7:2018."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from controller.physics.finite import require_finite

KELVIN_AT_0_C = 273.0  # as the standard writes it


class Paper(Enum):
    """Insulation paper of the winding."""

    NORMAL = "normal"
    UPGRADED = "upgraded"  # thermally upgraded


def ageing_rate(paper: Paper, hot_spot_c: float) -> float:
    """Relative ageing rate V; 1 at 98 °C (normal paper) or at 110 °C (thermally upgraded paper).

    Normal: V = 2^((θh − 98)/6). Upgraded: V = exp(15000/(110 + 273) − 15000/(θh + 273)).
    """
    require_finite(hot_spot_c=hot_spot_c)
    if paper is Paper.NORMAL:
        return math.pow(2.0, (hot_spot_c - 98.0) / 6.0)
    return math.exp(15000.0 / (110.0 + KELVIN_AT_0_C) - 15000.0 / (hot_spot_c + KELVIN_AT_0_C))


def loss_of_life_s(paper: Paper, hot_spot_c: Sequence[float], dt_s: Sequence[float]) -> float:
    """Seconds of life used: the sum of V·Δt, each temperature counted over the step that ends at it."""
    return math.fsum(ageing_rate(paper, t_c) * step_s for t_c, step_s in zip(hot_spot_c, dt_s, strict=True))
