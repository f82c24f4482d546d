"""What a bilateral contract keeps ready for us, and what of it tomorrow needs: the rest is released. Pure.

A contract (FlexOption) is agreed outside the protocol and stated in the site file. Before its deadline on the day
before, the participant is told how much stays reserved in each period (UFTP 3.1, "Flex reservation mechanism"): never
more than the contract, all of it where nobody can see that far, and nothing that the projection does not need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.balancing.uftp.values import Day, Reservation, midnight_utc_s
from controller.domain.market import Contract
from controller.planning.procurement import RELIEF_MIN_PU
from controller.planning.projection import PROBABILITY_MIN, Projection

Array = NDArray[np.float64]

WINDOW_S = 3600.0
"""So long before its deadline a decision is made: what is known then is the best there will be."""
FIRST_WEEKEND_DAY = 5


def reserved_w(contract: Contract, day: Day) -> dict[int, float]:
    """What the contract reserves of a day, W by ISP (load convention)."""
    if not (contract.weekends if day.period.weekday() >= FIRST_WEEKEND_DAY else contract.working_days):
        return {}
    hours = {isp: (day.isp_start_utc_s(isp) - day.start_utc_s) for isp in range(1, day.isps + 1)}
    return {isp: contract.change_w for isp, at_s in hours.items() if contract.from_s <= at_s < contract.to_s}


def deadline_utc_s(contract: Contract, period: date, time_zone: str) -> float:
    """Until when a reservation of that day may be reduced: on the day before."""
    return midnight_utc_s(period - timedelta(days=1), time_zone) + contract.release_s


def is_due(contract: Contract, period: date, time_zone: str, now_utc_s: float) -> bool:
    """Whether now is the time to decide about a day."""
    left_s = deadline_utc_s(contract, period, time_zone) - now_utc_s
    return 0.0 < left_s <= WINDOW_S


def kept(
    contract: Contract, day: Day, projected: Projection, relief: Array, quarter_of: Mapping[int, int]
) -> Reservation:
    """What stays reserved; ``relief`` of every limit per watt of the participant, ``quarter_of`` an ISP of the day."""
    power_w = {}
    for isp, w in reserved_w(contract, day).items():
        k = quarter_of[isp] - projected.first_quarter
        power_w[isp] = _needed_w(projected, relief, k, w) if 0 <= k < projected.quarters else w
    return Reservation(day, contract.id, reservation_of(contract, day.period), power_w)


def reservation_of(contract: Contract, period: date) -> str:
    """Name of what a contract reserves of a day."""
    return f"{contract.id}/{period}"


def _needed_w(projected: Projection, relief: Array, k: int, reserved: float) -> float:
    """As much of one period's reservation as relieves what is likely to be too much."""
    sign, most_w = math.copysign(1.0, reserved), 0.0
    for limit, per_w in zip(projected.limits, relief.tolist(), strict=True):
        if limit.excess_w[k] > 0.0 and limit.probability[k] >= PROBABILITY_MIN and sign * per_w > RELIEF_MIN_PU:
            most_w = max(most_w, float(limit.excess_w[k]) / (sign * per_w))
    return sign * min(most_w, abs(reserved))
