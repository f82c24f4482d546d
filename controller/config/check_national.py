"""Does the national block name units that exist, and are its times in order?"""

from __future__ import annotations

from controller.config.convert_market import clock_s
from controller.config.draft import Draft
from controller.config.finding import Path, show
from controller.config.schema import SiteFile


def check_national(draft: Draft, file: SiteFile) -> None:
    """The whole block."""
    block = file.national
    if block is None:
        return
    path: Path = ("national",)
    known = {unit.id for unit in file.units}
    for unit in block.units:
        if unit not in known:
            expected = f"a unit: {', '.join(sorted(known))}"
            draft.report((*path, "units"), show(unit), expected, "there is nothing of that name")
    if not clock_s(block.at) < clock_s(block.gate):
        draft.report((*path, "gate"), show(block.gate), f"later than at {block.at}", "every bid would be too late")
    if not clock_s(block.gate) <= clock_s(block.start):
        message = "nobody sells what has begun"
        draft.report((*path, "start"), show(block.start), f"not before gate {block.gate}", message)
