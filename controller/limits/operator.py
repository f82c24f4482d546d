"""What operators and the platform have in force, as reasons to restrict: limits narrowed, units capped, set or held.

What a unit has sold restricts nothing; it says whose output limits take first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.domain.instruction import EVERYTHING, Action, Standing
from controller.domain.limit import LimitKind
from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits.in_force import Proposal, Situation, Wanted
from controller.limits.unit_ranges import Sold, UnitRange


@dataclass(frozen=True, slots=True)
class Nothing:
    """What this reason remembers."""


class OperatorReason:
    """The instructions in force of one site, each in its own layer; the book of instructions remembers them."""

    key = "operator"
    memory_type = Nothing

    def __init__(self, site: Site) -> None:
        self.units = site.units
        narrowable = [(k, x) for k, x in enumerate(site.limits) if x.kind is not LimitKind.VOLTAGE]
        self.limit_at = {x.element: k for k, x in narrowable if x.element != "interface"}
        self.limit_at |= {x.id: k for k, x in narrowable}
        self.unit_at = {u.id: k for k, u in enumerate(site.units)}

    def initial(self, now_s: float) -> Nothing:
        """Nothing to remember."""
        return Nothing()

    def propose(self, memory: Nothing, situation: Situation) -> tuple[Nothing, Sequence[Wanted], Sequence[Event]]:
        """One proposal or more per standing instruction."""
        out = [p for s in situation.standing for p in self._of(s, s.expires_at_s - situation.now_s)]
        return memory, out, ()

    def _of(self, standing: Standing, left_s: float) -> list[Wanted]:
        asked, note = standing.instruction, _note(standing)
        if asked.action in (Action.REACTIVE, Action.WORTH):
            return []  # restricts nobody: the dispatch moves what the limits leave
        if asked.action is Action.RESERVE:
            return [Sold(self.unit_at[asked.subject], asked.owner, standing.cause, asked.value, note, left_s)]
        if asked.action is Action.LIMIT and asked.subject in self.limit_at:
            k = self.limit_at[asked.subject]
            return [Proposal(k, asked.value, cause=standing.cause, note=note, left_s=left_s)]
        chosen = range(len(self.units)) if asked.subject == EVERYTHING else [self.unit_at[asked.subject]]
        return [self._range(k, standing, note, left_s) for k in chosen]

    def _range(self, k: int, standing: Standing, note: str, left_s: float) -> UnitRange:
        asked = standing.instruction
        low_w, high_w = _bounds(standing, k)
        q_var = float("nan") if asked.q_var is None else asked.q_var
        return UnitRange(k, asked.owner, standing.cause, low_w, high_w, q_var, note, left_s)

    def dump(self, memory: Nothing) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Nothing:
        """Nothing."""
        return Nothing()


def _bounds(standing: Standing, k: int) -> tuple[float, float]:
    """Range of P, load convention, that an instruction leaves to the unit."""
    asked = standing.instruction
    match asked.action:
        case Action.OVERRIDE:
            return asked.value, asked.value
        case Action.LIMIT:
            return -asked.value, asked.value
        case Action.HOLD:
            held_w = standing.held_p_w[k]
            return min(held_w, 0.0), max(held_w, 0.0)
        case _:
            return 0.0, 0.0


def _note(standing: Standing) -> str:
    asked = standing.instruction
    return f"{asked.action.value} by {asked.issuer}: {asked.reason}"
