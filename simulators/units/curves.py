"""Autonomous voltage response of a unit, as in IEEE 1547-2018: volt-var and volt-watt with first-order response.

Defaults of categories A and B as coded in EPRI OpenDER (PyPI ``opender`` 2.2.0, ``common_file_format.py``). The
open-loop response time of the standard is the time to 90 % of the final value, so the time constant is OLRT / ln 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """Piecewise linear in the voltage (pu), flat outside; ``olrt_s`` is the open-loop response time."""

    u_pu: tuple[float, ...]
    y_pu: tuple[float, ...]
    olrt_s: float

    def at(self, u_pu: float) -> float:
        """Value of the curve."""
        if u_pu <= self.u_pu[0]:
            return self.y_pu[0]
        for k in range(1, len(self.u_pu)):
            if u_pu <= self.u_pu[k]:
                width = self.u_pu[k] - self.u_pu[k - 1]
                if width == 0.0:
                    return self.y_pu[k]
                return self.y_pu[k - 1] + (self.y_pu[k] - self.y_pu[k - 1]) * (u_pu - self.u_pu[k - 1]) / width
        return self.y_pu[-1]

    def step(self, now_pu: float, u_pu: float, dt_s: float) -> float:
        """Response after ``dt_s`` at that voltage, starting from ``now_pu``."""
        return now_pu + (self.at(u_pu) - now_pu) * (1.0 - math.exp(-dt_s * math.log(10.0) / self.olrt_s))


# Reactive power in pu of the apparent rating, positive = injection (the standard's sign, not the house's).
VOLT_VAR = {
    "A": Curve((0.90, 1.00, 1.00, 1.10), (0.25, 0.0, 0.0, -0.25), 10.0),
    "B": Curve((0.92, 0.98, 1.02, 1.08), (0.44, 0.0, 0.0, -0.44), 5.0),
}
# Greatest active power in pu of the rating.
VOLT_WATT = {"A": Curve((1.06, 1.10), (1.0, 0.2), 10.0), "B": Curve((1.06, 1.10), (1.0, 0.2), 10.0)}
