"""Ratings by time of year, at the site's own calendar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.domain.limit import Limit
from controller.domain.record import Event
from controller.domain.site import Site
from controller.estimation.weather import WeatherWatch
from controller.limits.in_force import Proposal, Situation


class Seasons:
    """Reason for all limits of a site that have seasons; remembers nothing."""

    key = "season"
    memory_type = int

    def __init__(self, site: Site) -> None:
        self._limits = [(k, x) for k, x in enumerate(site.limits) if x.seasons]
        self._weather = WeatherWatch(site.weather, site.timezone)

    def initial(self, now_s: float) -> int:
        """Nothing to remember."""
        return 0

    def propose(self, memory: int, situation: Situation) -> tuple[int, Sequence[Proposal], Sequence[Event]]:
        """Today's rating of every limit; the lowest of the year when nobody knows the day."""
        day = self._weather.day(situation.utc_s)
        return memory, [_rated(k, limit, day) for k, limit in self._limits], ()

    def dump(self, memory: int) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> int:
        """Nothing."""
        return 0


def seasons(site: Site) -> Iterator[Seasons]:
    """One, if any limit has seasons."""
    if any(limit.seasons for limit in site.limits):
        yield Seasons(site)


def _rated(index: int, limit: Limit, day: tuple[int, int] | None) -> Proposal:
    """The lowest rating of the seasons that cover the day; a season without days is for all that no other covers."""
    if day is None:
        return Proposal(index, limit.rated_high, cause="season.unknown", rates=True)
    today = [s for s in limit.seasons if s.covers(*day)] or [s for s in limit.seasons if not s.spans]
    if not today:
        return Proposal(index, limit.rated_high, cause="season.unknown", rates=True)
    lowest = min(today, key=lambda s: s.rated_a)
    return Proposal(index, lowest.rated_a, cause=f"season.{lowest.name}", rates=True)
