"""A value from the field, with what is known about its truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import IntEnum


class Quality(IntEnum):
    """How far a value may be trusted; a higher number is worse, so ``max`` combines qualities.

    Only GOOD may relax a limit. UNCERTAIN may be displayed. STALE, BAD and MISSING carry no usable value.
    """

    GOOD = 0
    UNCERTAIN = 1
    STALE = 2
    BAD = 3
    MISSING = 4


@dataclass(frozen=True, slots=True, init=False)
class Measurement:
    """One value of one point.

    ``value`` is SI in the unit that the point's name carries, NaN when there is none. ``measured_at_s`` is the
    latest monotonic instant at which the device can have taken the sample (the instant the request was sent, never
    a device's own timestamp); ``received_at_s`` is when the answer was complete.
    """

    value: float
    quality: Quality
    measured_at_s: float
    received_at_s: float
    reason: str = ""

    def __init__(
        self, value: float, quality: Quality, measured_at_s: float, received_at_s: float, reason: str = ""
    ) -> None:
        # Thousands are made every second: what dataclass would write for a frozen class takes twice as long.
        _set_value(self, value)
        _set_quality(self, quality)
        _set_measured_at_s(self, measured_at_s)
        _set_received_at_s(self, received_at_s)
        _set_reason(self, reason)

    @property
    def usable(self) -> bool:
        """True when the value may take part in a control decision."""
        return self.quality is Quality.GOOD and math.isfinite(self.value)


_set_value, _set_quality, _set_measured_at_s, _set_received_at_s, _set_reason = (
    Measurement.__dict__[field.name].__set__ for field in fields(Measurement)
)


def missing(now_s: float, reason: str) -> Measurement:
    """A measurement that says why there is no value."""
    return Measurement(math.nan, Quality.MISSING, now_s, now_s, reason)
