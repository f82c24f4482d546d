"""What is known of demand that no meter sees."""

from __future__ import annotations

import core_kit as kit
import numpy as np

from controller.control.cycle import Engine
from controller.estimation.state_filter import Motion, predict, variance

DAY_S, STEP_S = 86400.0, 60.0


def test_demand_is_no_less_known_at_the_start_than_after_a_day_without_a_meter() -> None:
    """A process that returns to its mean has one spread at all times, as long as nobody looks (Gauss-Markov)."""
    estimator = Engine(kit.site()).estimator
    lay, state = estimator.layout, estimator.initial(0.0).filter
    demand = slice(0, 2 * lay.n_w)
    still = np.zeros(2 * lay.n_unit)
    calm = estimator._calm
    motion = Motion(np.concatenate([calm.variance_rate[demand], still]), calm.return_rate, calm.mean)
    later = state
    for _ in range(round(DAY_S / STEP_S)):
        later = predict(later, lay.partition, motion, STEP_S)
    at_start, after = (variance(s, lay.partition)[demand] for s in (state, later))
    np.testing.assert_allclose(after, at_start, rtol=0.02)
