"""What holds at the connection point while no platform commands it: the contract of the site file.

An accepted limit of the platform takes its place, up to the site's own limit, until its lease ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.domain.instruction import Action, Standing
from controller.domain.owner import SERVICES
from controller.domain.platform import Platform
from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits.in_force import Proposal, Situation
from controller.limits.unit_ranges import UnitRange


@dataclass(frozen=True, slots=True)
class Silence:
    """The directions in which the contract held at the last look."""

    holding: frozenset[str] = frozenset()


class StandingContract:
    """The default limits of one site's platform."""

    key = "platform"
    memory_type = Silence

    def __init__(self, site: Site, platform: Platform) -> None:
        limit_at = {x.id: k for k, x in enumerate(site.limits)}
        self.defaults = tuple((name, limit_at[name], most_w) for name, most_w in platform.default_w)

    def initial(self, now_s: float) -> Silence:
        """Nothing told yet."""
        return Silence()

    def propose(
        self, memory: Silence, situation: Situation
    ) -> tuple[Silence, Sequence[Proposal | UnitRange], Sequence[Event]]:
        """The default of every direction that no platform commands."""
        commanded = {s.instruction.subject for s in situation.standing if _commands(s)}
        chosen = [x for x in self.defaults if x[0] not in commanded]
        out = [Proposal(k, w, cause="contract.default", note="no platform commands it") for _, k, w in chosen]
        now = frozenset(name for name, _, _ in chosen)
        return Silence(now), out, _told(memory.holding, now)

    def dump(self, memory: Silence) -> Mapping[str, Any]:
        """Nothing: the instructions in force say it all again."""
        return {}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Silence:
        """Nothing told yet."""
        return self.initial(now_s)


def _commands(standing: Standing) -> bool:
    return standing.instruction.owner in SERVICES and standing.instruction.action is Action.LIMIT


def _told(before: frozenset[str], now: frozenset[str]) -> list[Event]:
    begun = [Event("contract.begun", f"default {name}", "no platform commands it") for name in sorted(now - before)]
    return begun + [
        Event("contract.ended", f"default {name}", "a platform commands it") for name in sorted(before - now)
    ]
