"""What the record says about voltage support in a cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.control.support import Attained
from controller.domain.record import Mode, SupportState
from controller.estimation.estimate import Estimate

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.engine import Engine

ALL_SAFE = (Mode.FAIL_SAFE, Mode.BOOT, Mode.STOPPING)
"""Modes in which every unit is at its fail-safe set point, whatever was decided."""


def attained_in(decision: Decision, mode: Mode) -> Attained | None:
    """What comes of the reactive instruction in charge in this mode; None when there is none."""
    if decision.support is None:
        return None
    found = decision.support.attained
    if mode in ALL_SAFE:
        return replace(found, reached_var=found.now_var, binds=(f"mode.{mode.value}",), spent=())
    return found


def support_state(
    engine: Engine, decision: Decision, attained: Attained | None, estimate: Estimate, now_s: float
) -> SupportState | None:
    """The same for the record."""
    if decision.support is None or attained is None:
        return None
    standing, helps = decision.support.standing, zip(engine.site.units, decision.support.assisting, strict=True)
    return SupportState(
        cause=standing.cause,
        owner=standing.instruction.owner.value,
        asked_var=attained.asked_var,
        tolerance_var=attained.tolerance_var,
        before_var=attained.now_var if standing.before_var is None else standing.before_var,
        q_var=estimate.interface_q_var,
        reached_var=attained.reached_var,
        obstacle="" if attained.in_full() else attained.obstacle,
        units=tuple(unit.id for unit, used in helps if used),
        left_s=standing.expires_at_s - now_s,
    )


def causes_of_power(causes: tuple[str, ...], decision: Decision) -> tuple[str, ...]:
    """The causes of a set point that are about active power: nobody gives any up for support."""
    support = decision.support
    return causes if support is None else tuple(x for x in causes if x != support.standing.cause)
