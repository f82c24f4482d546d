"""Does a weather forecast make sense at all? Wrong hours, a dead sun and a stuck series show without knowing better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.weather import AIR, SUN, WIND

Array = NDArray[np.float64]

DAY_S = 86_400
TWILIGHT_W_PER_M2 = 30.0
SUN_MAX_FRAC = 1.05
"""A clear sky lets through less than 0.85 of what shines above the air; clouds may add to that, not for an hour."""
SUN_MIN_FRAC = 0.005
"""Of a whole day: under the thickest clouds one part in twenty still arrives."""
DAYLIGHT_W_PER_M2 = 20.0  # mean of a day above the air: with less, there is no day


def contradiction(value: Array, above: Array, step_s: int) -> str:
    """Why a table (row, quantity) cannot be true where the sun above the air is ``above`` (row, look); empty if it can.

    Irradiance while the sun is down is how a time zone that was mistaken shows.
    """
    most, mean = above.max(axis=1), above.mean(axis=1)
    too_much = value[:, SUN] > SUN_MAX_FRAC * most + TWILIGHT_W_PER_M2
    if too_much.any():
        k = int(np.argmax(too_much))
        return (
            f"irradiance {value[k, SUN]:.0f} W/m² where the sun gives {most[k]:.0f} above the air: "
            "the times are those of another place or zone"
        )
    rows = DAY_S // step_s
    for first in range(len(value) - rows + 1):
        day = value[first : first + rows]
        daylight = mean[first : first + rows].mean()
        if daylight > DAYLIGHT_W_PER_M2 and day[:, SUN].mean() < SUN_MIN_FRAC * daylight:
            return "no irradiance for a whole day; expected some wherever the sun rises"
        for quantity, name in ((WIND, "wind"), (AIR, "temperature")):
            if np.ptp(day[:, quantity]) == 0.0:
                return f"{name} {day[0, quantity]:g} for a whole day; expected it to change: a series is stuck"
    return ""
