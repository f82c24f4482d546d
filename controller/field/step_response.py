"""What a course of measurements after a step says about a device. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOVED_FRAC, RAMP_FROM_FRAC, RAMP_TO_FRAC = 0.1, 0.1, 0.9
OPEN_FRAC = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """One poll: site instant, measured power and the set point that the device says it holds (NaN: none in force)."""

    at_s: float
    p_w: float
    p_set_w: float


@dataclass(frozen=True, slots=True)
class Step:
    """A step of power: ``latency_s`` from the write to a tenth of it, ``ramp_w_per_s`` between 10 and 90 % of it.

    NaN for what could not be seen. ``settled_w`` is the last power, ``asked_w`` the size of the step (≥ 0).
    """

    asked_w: float
    read_back_s: float
    latency_s: float
    ramp_w_per_s: float
    settled_w: float


def analyse_step(samples: Sequence[Sample], written_at_s: float, before_w: float, target_w: float) -> Step:
    """The step from ``before_w`` to ``target_w`` that was written at ``written_at_s``.

    Times are those of the first poll that shows it, so they are too long by up to one poll.
    """
    tolerance_w = max(0.02 * abs(target_w - before_w), 1.0)
    after = [sample for sample in samples if sample.at_s >= written_at_s]
    held = next((s.at_s for s in after if abs(s.p_set_w - target_w) <= tolerance_w), math.nan)
    moved = _first(after, before_w, target_w, MOVED_FRAC)
    settled_w = next((s.p_w for s in reversed(after) if math.isfinite(s.p_w)), math.nan)
    return Step(
        abs(target_w - before_w), held - written_at_s, moved - written_at_s, _ramp(after, before_w, target_w), settled_w
    )


def _first(samples: Sequence[Sample], before_w: float, target_w: float, frac: float) -> float:
    """When the power had first gone this share of the way; NaN when it never had."""
    wanted = frac * abs(target_w - before_w)
    sign = math.copysign(1.0, target_w - before_w)
    return next((s.at_s for s in samples if sign * (s.p_w - before_w) >= wanted), math.nan)


def _ramp(samples: Sequence[Sample], before_w: float, target_w: float) -> float:
    begin = _first(samples, before_w, target_w, RAMP_FROM_FRAC)
    end = _first(samples, before_w, target_w, RAMP_TO_FRAC)
    if not end > begin:
        return math.nan
    powers = {sample.at_s: sample.p_w for sample in samples}
    return abs(powers[end] - powers[begin]) / (end - begin)


@dataclass(frozen=True, slots=True)
class Silence:
    """What the device did after the last write: a word as in its profile (or ``unclear``), and when it began."""

    behaviour: str
    after_s: float


def analyse_silence(
    samples: Sequence[Sample], silent_since_s: float, held_w: float, revert_w: float, beyond_s: float
) -> Silence:
    """What became of the set point ``held_w``, when ``revert_w`` was left as the value to fall back to.

    The set point that the device shows decides; a device that shows none any more has let go (``fails_open``). Only one
    that was still seen holding it ``beyond_s`` after we fell silent holds it: a device that was lost before may have
    done anything.
    """
    tolerance_w = max(0.05 * abs(held_w - revert_w), 1.0)
    seen = [sample for sample in samples if sample.at_s >= silent_since_s and math.isfinite(sample.p_w)]
    if not seen:
        return Silence("unclear", math.nan)
    for sample in seen:
        if abs(sample.p_set_w - revert_w) <= tolerance_w:
            return Silence("reverts_to_value", sample.at_s - silent_since_s)
        if not math.isfinite(sample.p_set_w):
            return Silence("fails_open", sample.at_s - silent_since_s)
        if abs(sample.p_set_w - held_w) > tolerance_w:
            return Silence("unclear", sample.at_s - silent_since_s)
    return Silence("holds_last" if seen[-1].at_s - silent_since_s >= beyond_s else "unclear", math.nan)
