"""Is there a storage to plan, and does a plan hold until the next one comes?"""

from __future__ import annotations

from controller.config.draft import Draft
from controller.config.finding import show
from controller.config.schema import SiteFile


def check_planning(draft: Draft, file: SiteFile) -> None:
    """The whole block."""
    block, path = file.planning, ("planning",)
    if block is None:
        return
    if not any(unit.storage is not None for unit in file.units):
        draft.report(path, "no storage", "a unit with storage in the file", "there is nothing to plan")
    if block.valid_min < block.plan_min:
        expected = f"minutes, at least plan_min {block.plan_min:g}"
        draft.report((*path, "valid_min"), show(block.valid_min), expected, "every plan would end before the next one")
    longest_min = 60.0 * file.control.instruction_h_max
    if block.valid_min > longest_min:
        expected = f"minutes, at most control.instruction_h_max ({longest_min:g} min)"
        draft.report((*path, "valid_min"), show(block.valid_min), expected, "no instruction lasts longer")
