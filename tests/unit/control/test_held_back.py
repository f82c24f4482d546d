"""What an order takes from a unit is no surplus and no want of the site's: only what limits keep back is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from controller.control.decision import Decision, held_back_w


def decision(output_w: float, cap_w: float, withheld_w: float, up_w: float, down_w: float) -> Decision:
    """Of one resource that its set point holds."""
    one = np.array
    made: Any = SimpleNamespace(
        plan=SimpleNamespace(up_w=one([up_w]), down_w=one([down_w])),
        reach=SimpleNamespace(output_w=one([output_w]), withheld_w=one([withheld_w]), probing=one([False])),
        span=SimpleNamespace(cap_w=one([cap_w])),
        held=one([True]),
    )
    return cast(Decision, made)


@pytest.mark.parametrize(
    ("output_w", "cap_w", "withheld_w", "up_w", "down_w", "expected_w"),
    [
        (1.22e6, 1.10e6, 0.0, 0.0, 0.12e6, 0.0),  # comes down to its order
        (1.22e6, 1.10e6, 0.0, 0.0, 0.20e6, 0.08e6),  # further down, for a limit
        (1.22e6, np.inf, 0.0, 0.0, 0.12e6, 0.12e6),  # nobody ordered anything
        (0.80e6, np.inf, 0.3e6, 0.1e6, 0.0, 0.2e6),  # kept back before, a third given back
        (1.00e6, 1.10e6, 0.3e6, 0.0, 0.0, 0.1e6),  # of what was kept back the order would take the rest
    ],
)
def test_only_what_limits_take_counts(
    output_w: float, cap_w: float, withheld_w: float, up_w: float, down_w: float, expected_w: float
) -> None:
    out = held_back_w(decision(output_w, cap_w, withheld_w, up_w, down_w))
    assert out.tolist() == pytest.approx([expected_w])
