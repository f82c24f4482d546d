"""Does the national block name units that exist, and are its times in order?"""

from __future__ import annotations

from controller.config.convert_market import clock_s
from controller.config.draft import Draft
from controller.config.finding import Path, show
from controller.config.schema import SiteFile
from controller.domain.national import DAY_S, DESK


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
    lasts_h = (clock_s(block.end) - clock_s(block.start)) % DAY_S / 3600.0 or 24.0
    if lasts_h > file.control.instruction_h_max:
        expected = f"at most control.instruction_h_max ({file.control.instruction_h_max:g} h) after start {block.start}"
        draft.report((*path, "end"), show(block.end), expected, "no activation could last so long")
    if any(issuer.id == DESK and issuer.service == "tso" for issuer in file.platform.issuers):
        draft.report(("platform", "issuers"), DESK, "another id", "the national market's own desk has this name")
