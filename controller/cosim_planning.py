"""The slow loop inside a co-simulation: a plan every quarter of an hour of course time, from what the course has shown.

In the field the plan comes from the station process; here nothing but the exchange is there.
"""

from __future__ import annotations

from controller.control.state import ControlState
from controller.domain.plan import StoragePlan
from controller.domain.site import Site
from controller.planning.calendar import QUARTER_S, Calendar
from controller.planning.planner import Planner, new_planner, observe, plan_storage

DAY_S = 86400.0
SHORTEST_S = 3600.0  # a shorter course is over before a plan could pay
FIRST_AFTER_S = 120.0


class CosimPlanning:
    """Planner of one co-simulated course.

    The exchange does not say the hour. A course of a day or more is taken to begin at midnight; of a shorter one the
    hour stays unknown.
    """

    def __init__(self, site: Site, state: ControlState) -> None:
        duration_s = site.horizon_s
        stores = any(u.storage is not None for u in site.units)
        self._site = site
        self._planner: Planner | None = None
        if stores and duration_s is not None and duration_s >= SHORTEST_S:
            self._planner = new_planner(state.engine.layout, Calendar() if duration_s >= DAY_S else None)
        self._due_s = -1.0
        self._plan: StoragePlan | None = None

    def plan(self, state: ControlState) -> StoragePlan | None:
        """The plan for the next cycle, after what the fast loop knows now."""
        memory = state.estimator
        if self._planner is None or memory is None:
            return None
        self._planner = observe(self._planner, memory, state.held)
        if self._due_s < 0.0:
            self._due_s = memory.now_s + FIRST_AFTER_S
        if memory.now_s >= self._due_s:
            assert self._site.horizon_s is not None
            self._plan = plan_storage(self._planner, memory, memory.started_at_s + self._site.horizon_s)
            self._due_s = memory.now_s + QUARTER_S
        return self._plan
