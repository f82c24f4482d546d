"""The ladder above the dispatch: trim → hold → sequential trip → trip of all, on an inverse-time scale.

It looks at what meters read, not at what the model believes, and acts only on an excess that does not fall: whatever
the ramps of healthy units can do is on its way then and needs no second hand. No rung acts before twice the slowest
healthy answer to the dispatch, nor before the last action of any rung can show; what is far too much goes straight to
the rung that it calls for. Release goes the other way round, one step at a time, after everything was calm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.domain.escalation import Rung, Rungs

CALM_FRAC = 0.97  # of the limit: nearer to it nothing is released
BELOW_ALL = (0.0, 0.0, 0.0, 0.0)  # clocks of a loading that exceeds no rung's threshold
FALLING_PER_S = 0.1  # of the excess: what falls at least this fast is being dealt with


@dataclass(frozen=True, slots=True)
class Watch:
    """One limit: its loading when last read, and for how long each rung's threshold has been exceeded, s."""

    loading_frac: float = 0.0
    over_s: tuple[float, ...] = BELOW_ALL


def watch(previous: Watch, loading_frac: float, dt_s: float, rungs: Rungs) -> Watch:
    """The watch ``dt_s`` later; a loading that is no number keeps every clock where it stands."""
    if not loading_frac >= 0.0:
        return previous
    if loading_frac <= rungs.trim.over_frac:
        return Watch(loading_frac)
    excess, before = loading_frac - 1.0, previous.loading_frac - 1.0
    falling = excess < before * (1.0 - min(FALLING_PER_S * dt_s, 0.5))
    over_s = tuple(
        (was if falling else was + dt_s) if loading_frac > rung.over_frac else 0.0
        for rung, was in zip(rungs.rising, previous.over_s, strict=True)
    )
    return Watch(loading_frac, over_s)


def due(watched: Watch, rungs: Rungs) -> Rung | None:
    """The highest rung whose time has come."""
    if watched.over_s == BELOW_ALL:
        return None
    reached = [rung for rung, s in zip(rungs.rising, watched.over_s, strict=True) if s >= rung.after_s]
    return reached[-1] if reached else None


def trimmed(output_w: Sequence[float], excess_w: float) -> tuple[float, ...]:
    """What each of the units that push may have, W: everybody gives the same share of what he does, to cover all."""
    total = sum(output_w)
    kept = max(1.0 - excess_w / total, 0.0) if total > 0.0 else 1.0
    return tuple(w * kept for w in output_w)


def next_to_trip(output_w: Sequence[float], deaf: Sequence[bool]) -> int | None:
    """Whom to disconnect: the deaf before the others, the largest first; None when nobody pushes."""
    pushing = [k for k, w in enumerate(output_w) if w > 0.0]
    return max(pushing, key=lambda k: (deaf[k], output_w[k]), default=None)
