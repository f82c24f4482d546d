"""The frozen picture of the field that one cycle thinks about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller.domain.instruction import Instruction
from controller.domain.measurement import Measurement, missing
from controller.domain.plan import StoragePlan


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Latest value of every point at ``now_s`` (monotonic site seconds). Never changed after it is built.

    ``utc_s`` is the time of day that belongs to ``now_s``, in seconds since 1970; NaN when nobody knows it.
    ``storage_plan`` is the slow loop's newest word on what stored energy is worth, if there is one.
    ``instructions`` are what operators have said since the last snapshot, in the order of receipt.
    """

    now_s: float
    points: Mapping[str, Measurement]
    utc_s: float = math.nan
    storage_plan: StoragePlan | None = None
    instructions: tuple[Instruction, ...] = ()

    def get(self, point: str) -> Measurement:
        """The measurement of ``point``; a missing one when nothing was ever received."""
        found = self.points.get(point)
        return found if found is not None else missing(self.now_s, "never received")

    def age_s(self, point: str) -> float:
        """Seconds since ``point`` was sampled; infinite when never."""
        found = self.points.get(point)
        return float("inf") if found is None else self.now_s - found.measured_at_s
