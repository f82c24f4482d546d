"""What holds at the connection point, and for units of others, while no platform commands it: the site file's contract.

An accepted limit of the platform takes its place, up to the site's own limit, until its lease ends; a unit that belongs
to others stands still until something of it has been accepted, and again afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.domain.instruction import Action, Standing
from controller.domain.owner import SERVICES, Owner
from controller.domain.platform import Platform
from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits.in_force import Proposal, Situation
from controller.limits.unit_ranges import UnitRange

CAUSE = "contract.default"
NOTE = "no platform commands it"


@dataclass(frozen=True, slots=True)
class Silence:
    """The directions and units for which the contract held at the last look."""

    holding: frozenset[str] = frozenset()


class StandingContract:
    """The default limits of one site's platform, and the units that rest without it."""

    key = "platform"
    memory_type = Silence

    def __init__(self, site: Site, platform: Platform) -> None:
        limit_at = {x.id: k for k, x in enumerate(site.limits)}
        self.defaults = tuple((name, limit_at[name], most_w) for name, most_w in platform.default_w)
        self.rest = tuple((k, unit.id) for k, unit in enumerate(site.units) if unit.id in platform.rest)

    def initial(self, now_s: float) -> Silence:
        """Nothing told yet."""
        return Silence()

    def propose(
        self, memory: Silence, situation: Situation
    ) -> tuple[Silence, Sequence[Proposal | UnitRange], Sequence[Event]]:
        """The default of every direction that no platform commands, and 0 W for every unit that has to rest."""
        limited = {s.instruction.subject for s in situation.standing if _commands(s, Action.LIMIT)}
        ordered = limited | {s.instruction.subject for s in situation.standing if _commands(s, Action.OVERRIDE)}
        chosen = [x for x in self.defaults if x[0] not in limited]
        resting = [x for x in self.rest if x[1] not in ordered]
        out: list[Proposal | UnitRange] = [Proposal(k, w, cause=CAUSE, note=NOTE) for _, k, w in chosen]
        out += [UnitRange(k, Owner.CONTRACT, CAUSE, 0.0, 0.0, note=NOTE) for k, _ in resting]
        now = frozenset([name for name, _, _ in chosen] + [name for _, name in resting])
        return Silence(now), out, _told(memory.holding, now)

    def dump(self, memory: Silence) -> Mapping[str, Any]:
        """Nothing: the instructions in force say it all again."""
        return {}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Silence:
        """Nothing told yet."""
        return self.initial(now_s)


def _commands(standing: Standing, action: Action) -> bool:
    return standing.instruction.owner in SERVICES and standing.instruction.action is action


def _told(before: frozenset[str], now: frozenset[str]) -> list[Event]:
    begun = [Event("contract.begun", f"default {name}", NOTE) for name in sorted(now - before)]
    return begun + [
        Event("contract.ended", f"default {name}", "a platform commands it") for name in sorted(before - now)
    ]
