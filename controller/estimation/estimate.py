"""What one cycle knows about the network: the estimator's answer, and nothing of how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.grid.model import LinearGrid

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known at ``sample_s``; arrays in the site's order, load convention.

    ``avail_w`` is the power that a unit could have without its cap (magnitude, NaN when unknown), ``modelled_p_w``
    what its set point should have made of it; ``deaf`` and ``behind`` are the verdicts of ``response.py``,
    ``deaf_q`` that of ``reactive_response.py``; ``latency_s`` and ``tau_s`` are dead time and lag as identified,
    ``slower`` marks units that miss their data sheet. A ``*_sigma`` is one standard deviation, a ``*_age_s`` the time
    since a direct reading was used (infinite when there never was one), ``branch_excess_a`` how far a fresh current
    reading lies above all that the estimate can explain, or the other meters above this branch's, and
    ``interface_excess_w`` the latter at the interface, ``bus_above_v`` and ``bus_below_v`` how far a voltage may lie
    above and below its estimate because the meters beside it say so, ``limited_sign`` the direction in which a battery
    cannot give more. ``grid_solved`` is False while the power flow at the present operating point has no solution and
    ``grid`` is an older one; ``meters`` says what is wrong with meters, by event and subject.
    """

    sample_s: float
    unit_p_w: Array
    unit_q_var: Array
    unit_sigma_w: Array
    unit_age_s: Array
    deaf: BoolArray
    deaf_q: BoolArray
    behind: BoolArray
    limited_sign: Array
    avail_w: Array
    soc_frac: Array
    modelled_p_w: Array
    latency_s: Array
    tau_s: Array
    slower: BoolArray
    branch_ip_a: Array
    branch_iq_a: Array
    branch_sigma_a: Array
    branch_excess_a: Array
    branch_age_s: Array
    bus_u_v: Array
    bus_sigma_v: Array
    bus_above_v: Array
    bus_below_v: Array
    bus_age_s: Array
    interface_p_w: float
    interface_q_var: float
    interface_sigma_w: float
    interface_excess_w: float
    interface_age_s: float
    grid: LinearGrid
    grid_solved: bool
    jumped: bool
    meters: Mapping[tuple[str, str], str]
