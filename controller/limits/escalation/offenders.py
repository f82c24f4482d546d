"""Repeat offenders: a unit that turns deaf again and again is kept at its fail-safe set point, counted on no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OFFENCES = 3
WITHIN_S = 3600.0  # offences older than this are forgotten
ISOLATED_S = 3600.0  # how long it stays out before it gets another chance
LASTING_S, LASTING_LOOKS = 5.0, 3
"""Deaf for less time or fewer looks, it was late: a link under load delays a set point by as much. It has no credit
meanwhile all the same, only its record stays clean."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """One unit: for how many looks it has been deaf now, since when, when it turned deaf lately for longer than a
    moment, and until when it is isolated (−inf: it is not)."""

    looks: int = 0
    since_s: float = float("-inf")
    turned_deaf_s: tuple[float, ...] = ()
    isolated_until_s: float = float("-inf")

    @property
    def deaf(self) -> bool:
        """Deaf at the last look."""
        return self.looks > 0

    @property
    def ever_isolated(self) -> bool:
        """Isolated now or before."""
        return self.isolated_until_s > float("-inf")

    def isolated(self, now_s: float) -> bool:
        """Kept out at ``now_s``."""
        return now_s < self.isolated_until_s


CLEAN = Conduct()
"""Of a unit that was never deaf."""


def observe(previous: Conduct, deaf: bool, now_s: float) -> Conduct:
    """The conduct after one more look."""
    if not deaf and not previous.deaf and not previous.turned_deaf_s:
        return previous
    lately = tuple(t for t in previous.turned_deaf_s if now_s - t < WITHIN_S)
    looks = previous.looks + 1 if deaf else 0
    since_s = previous.since_s if previous.deaf else now_s
    lasting = looks >= LASTING_LOOKS and LASTING_S <= now_s - since_s < WITHIN_S
    if lasting and since_s not in lately:
        lately = (*lately, since_s)
    if len(lately) >= OFFENCES and not previous.isolated(now_s):
        return Conduct(looks, since_s, (), now_s + ISOLATED_S)
    return Conduct(looks, since_s, lately, previous.isolated_until_s)


def all_clean(conduct: Sequence[Conduct]) -> bool:
    """Whether nobody was ever deaf."""
    return conduct.count(CLEAN) == len(conduct)


def settle_all(previous: Sequence[Conduct], deaf: Sequence[bool], now_s: float) -> tuple[Conduct, ...]:
    """Every unit's conduct."""
    if not any(deaf) and all_clean(previous):
        return tuple(previous)
    return tuple(observe(was, bool(d), now_s) for was, d in zip(previous, deaf, strict=True))
