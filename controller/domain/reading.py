"""What one poll of one device brought, by point name."""

from __future__ import annotations

import math
from collections.abc import Mapping

from controller.domain.measurement import Measurement


class Reading(Mapping[str, Measurement]):
    """A poll result that can say how new it is without making all of its measurements."""

    __slots__ = ()

    @property
    def newest_good_s(self) -> float:
        """When the newest good value was sampled (site seconds); minus infinity without any."""
        return newest_usable_s(self)


def newest_good_s(reading: Mapping[str, Measurement]) -> float:
    """When the newest good value of any poll result was sampled (site seconds); minus infinity without any."""
    return reading.newest_good_s if isinstance(reading, Reading) else newest_usable_s(reading)


def newest_usable_s(reading: Mapping[str, Measurement]) -> float:
    """The same, by looking at every measurement."""
    return max((answer.measured_at_s for answer in reading.values() if answer.usable), default=-math.inf)
