"""The look-ahead of the site's storage as a strict model."""

from __future__ import annotations

from controller.config.fields import Strict, number


class PlanningModel(Strict):
    """Storage that looks ahead; `planning: {}` switches it on, no market and no platform is needed.

    `gridedge station` learns the site's days from its history, looks ahead, and tells `gridedge run` over the platform
    socket what energy in each storage will be worth. That decides only where no limit and nobody else does, and runs
    out by itself: then the fast loop's own rule holds again.
    """

    plan_min: float = number("minutes", 0.05, 60, "Period of looking ahead.", 15.0)
    horizon_h: float = number("hours", 1, 48, "How far.", 24.0)
    valid_min: float = number("minutes", 0.1, 720, "How long a plan holds when no newer one comes.", 45.0)
