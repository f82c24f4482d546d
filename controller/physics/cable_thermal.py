"""Short-time overload of a cable, from a model with one thermal time constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from controller.physics.finite import require_finite


@dataclass(frozen=True, slots=True)
class Cable:
    """How a cable warms up.

    ``rated_c`` is the conductor temperature at rated current, ``emergency_c`` the one allowed for a short time;
    ``resistance_ratio`` is R(emergency)/R(rated), above 1 to count the hotter conductor's higher resistance. Typical
    for XLPE: 90 °C and 105 °C; for the time constant, hours when buried, less than one in air. They belong to the
    cable and its laying: take them from the maker or the rating method of the network's owner.
    """

    rated_c: float
    emergency_c: float
    time_constant_s: float
    resistance_ratio: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that describe no cable."""
        for item in fields(self):
            require_finite(**{item.name: getattr(self, item.name)})
        if self.emergency_c < self.rated_c:
            raise ValueError(f"emergency_c is {self.emergency_c} °C; expected at least rated_c, {self.rated_c} °C")
        if self.time_constant_s <= 0.0 or self.resistance_ratio < 1.0:
            raise ValueError(
                f"time_constant_s is {self.time_constant_s}, resistance_ratio {self.resistance_ratio}; "
                "expected above 0 and at least 1"
            )


def emergency_load_pu(cable: Cable, prior_load_pu: float, ambient_c: float, duration_s: float) -> float:
    """The constant load that warms the cable from a steady prior load to ``emergency_c`` in exactly ``duration_s``.

    (I2/In)² = [(θem − θa)/(θn − θa) − h1²·e^(−t/τ)] / (1 − e^(−t/τ)), which follows from one time constant. Never
    below 0: a cable that is too hot already gets nothing. Raises ``ValueError`` for an input that is not finite.
    """
    require_finite(prior_load_pu=prior_load_pu, duration_s=duration_s)
    if duration_s <= 0.0:
        raise ValueError(f"duration_s is {duration_s}; expected above 0")
    exponent = -duration_s / cable.time_constant_s
    rise_pu = (cable.emergency_c - ambient_c) / _rated_rise_k(cable, ambient_c)
    square = (rise_pu - prior_load_pu**2 * math.exp(exponent)) / -math.expm1(exponent)
    return math.sqrt(max(square, 0.0) / cable.resistance_ratio)


def conductor_c(cable: Cable, prior_load_pu: float, load_pu: float, ambient_c: float, elapsed_s: float) -> float:
    """Conductor temperature ``elapsed_s`` after a steady prior load became ``load_pu``; resistance held constant."""
    require_finite(prior_load_pu=prior_load_pu, load_pu=load_pu, elapsed_s=elapsed_s)
    decay = math.exp(-elapsed_s / cable.time_constant_s)
    heating_pu = load_pu**2 + (prior_load_pu**2 - load_pu**2) * decay
    return ambient_c + _rated_rise_k(cable, ambient_c) * heating_pu


def _rated_rise_k(cable: Cable, ambient_c: float) -> float:
    require_finite(ambient_c=ambient_c)
    if ambient_c >= cable.rated_c:
        raise ValueError(f"ambient_c is {ambient_c} °C; expected below the rated {cable.rated_c} °C")
    return cable.rated_c - ambient_c
