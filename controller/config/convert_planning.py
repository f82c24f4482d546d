"""The planning block from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.schema import SiteFile
from controller.domain.planning import Planning, planning_for

_MIN_S, _HOUR_S = 60.0, 3600.0


def to_planning(file: SiteFile) -> Planning | None:
    """The look-ahead of the site's storage; None when there is none."""
    block = file.planning
    if block is None:
        return None
    storages = (unit.id for unit in file.units if unit.storage is not None)
    return planning_for(storages, block.plan_min * _MIN_S, block.horizon_h * _HOUR_S, block.valid_min * _MIN_S)
