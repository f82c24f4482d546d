"""What the units do against what they were told, and which of them sit on their set points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.actuator import ActuatorState
from controller.estimation.dynamics import Dynamics
from controller.estimation.reactive_response import ReactiveResponse
from controller.estimation.response import Response

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SETTLED_FRAC = 0.005  # model this close to its target counts as settled
MATCH_FRAC = 0.025  # measurement this close to the model confirms it


@dataclass(frozen=True, slots=True)
class UnitView:
    """One look at the units.

    ``settled`` marks units whose P (then Q) is known to sit on its set point, ``step`` how far each P (then Q) moved
    by command since the last cycle.
    """

    actuator: ActuatorState
    dynamics: Dynamics
    model_p_w: Array
    response: Response
    reactive: ReactiveResponse
    settled: BoolArray
    step: Array


def settled(target: Array, model: Array, measured: Array, scale: Array, match_scale: Array) -> BoolArray:
    """True where the model has arrived at its target and no reading contradicts it (NaN does not)."""
    arrived = np.abs(target - model) < SETTLED_FRAC * scale
    out: BoolArray = arrived & ~(np.abs(measured - model) > MATCH_FRAC * match_scale)
    return out
