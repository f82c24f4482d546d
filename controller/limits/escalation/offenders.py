"""Repeat offenders: a unit that turns deaf again and again is kept at its fail-safe set point, counted on no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OFFENCES = 3
WITHIN_S = 3600.0  # offences older than this are forgotten
ISOLATED_S = 3600.0  # how long it stays out before it gets another chance


@dataclass(frozen=True, slots=True)
class Conduct:
    """One unit: whether it is deaf now, when it turned deaf lately, and until when it is isolated (−inf: it is not)."""

    deaf: bool = False
    turned_deaf_s: tuple[float, ...] = ()
    isolated_until_s: float = float("-inf")

    @property
    def ever_isolated(self) -> bool:
        """Isolated now or before."""
        return self.isolated_until_s > float("-inf")

    def isolated(self, now_s: float) -> bool:
        """Kept out at ``now_s``."""
        return now_s < self.isolated_until_s


def observe(previous: Conduct, deaf: bool, now_s: float) -> Conduct:
    """The conduct after one more look."""
    if not deaf and not previous.deaf and not previous.turned_deaf_s:
        return previous
    lately = tuple(t for t in previous.turned_deaf_s if now_s - t < WITHIN_S)
    if deaf and not previous.deaf:
        lately = (*lately, now_s)
    if len(lately) >= OFFENCES and not previous.isolated(now_s):
        return Conduct(deaf, (), now_s + ISOLATED_S)
    return Conduct(deaf, lately, previous.isolated_until_s)


def settle_all(previous: Sequence[Conduct], deaf: Sequence[bool], now_s: float) -> tuple[Conduct, ...]:
    """Every unit's conduct."""
    return tuple(observe(was, bool(d), now_s) for was, d in zip(previous, deaf, strict=True))
