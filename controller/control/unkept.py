"""Operators' instructions while the durable state cannot be written: none of them would outlive a restart.

What narrows is taken all the same, for a restart that forgets it leaves the site no worse than a refusal. What widens
is refused: a restart would bring back what it ended, behind the back of whoever was told that it is over, and forget
the counter that keeps its line from being said again.
"""

from __future__ import annotations

from controller.domain.instruction import Action, Instruction, Standing
from controller.domain.owner import Owner

WIDENS_ALWAYS = (Action.RELEASE, Action.RESET_G100, Action.RESET_TRIPS)
NARROWS = (Action.LIMIT, Action.BLOCK, Action.HOLD)


def refused_unkept(asked: Instruction, ended: tuple[Standing, ...], expires_at_s: float) -> str:
    """Why an operator's instruction is refused that ends ``ended`` and would itself stand until ``expires_at_s``.

    Empty when it narrows, and for the platform's desks: the station says its own words again after a restart.
    """
    if not asked.unkept or asked.owner is not Owner.OPERATOR or not _widens(asked, ended, expires_at_s):
        return ""
    what = f"{asked.action.value} {asked.subject}"
    return (
        f"not kept: {asked.unkept}; {what} relaxes, and a restart would undo it. Expected a state file that can be "
        "written (df, mount; see state.unwritten); what narrows is accepted meanwhile"
    )


def _widens(asked: Instruction, ended: tuple[Standing, ...], expires_at_s: float) -> bool:
    if asked.action in WIDENS_ALWAYS:
        return True
    return asked.action in NARROWS and any(
        expires_at_s < old.expires_at_s or asked.value > old.instruction.value for old in ended
    )
