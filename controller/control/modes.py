"""The fail-safe ladder: fresh → worst case → local limits only → safe set points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.points import TRANSFORMER_EXTRA
from controller.domain.record import Mode
from controller.domain.site import Site
from controller.estimation.estimate import Estimate
from controller.limits.base import QUALITIES

SEEN_SIGMA_FRAC = 0.03
WAITING_CYCLES = 2.5  # readings that wait to be confirmed are no silence, however long a cycle is
WORST_CASE = QUALITIES.index("worst_case")


def stale_s(site: Site) -> float:
    """Age beyond which a limit-relevant value is no longer fresh: three polls, never more than the fail-safe time."""
    polls = [d.stale_s for d in site.devices]
    return max(polls, default=3.0 * site.cycle.cycle_s)


def metered_elements(site: Site) -> frozenset[str]:
    """Branches, buses and ``interface`` whose flow or voltage a device measures; a thermometer alone is no meter."""
    parts = [point.lstrip("-").split(".") for d in site.devices for point in d.feeds.values()]
    meters = [p for p in parts if p[0] != "ambient" and p[-1] not in TRANSFORMER_EXTRA]
    return frozenset("interface" if p[0] == "interface" else p[1] for p in meters)


def lost_units(site: Site, estimate: Estimate) -> NDArray[np.bool_]:
    """Units without telemetry for longer than the stale time.

    A unit that reverts by itself is lost at once: it is, or soon will be, at its fail-safe set point. One that holds
    its last set point for ever stays in use as long as the grid's meters tell what it does.
    """
    silent: NDArray[np.bool_] = estimate.unit_age_s > max(stale_s(site), WAITING_CYCLES * site.cycle.cycle_s)
    if not some(silent):
        return silent
    rated = np.array([u.p_rated_w for u in site.units])
    holds = np.array([math.isinf(u.fail_safe.lease_s) for u in site.units], dtype=bool)
    return silent & ~(holds & (estimate.unit_sigma_w < SEEN_SIGMA_FRAC * rated))


def next_mode(
    site: Site,
    mode: Mode,
    ready_since_s: float,
    estimate: Estimate,
    quality: NDArray[np.intp],
    metered: NDArray[np.bool_],
    now_s: float,
) -> tuple[Mode, float]:
    """Mode of this cycle and since when everything has been good (inf = it is not).

    ``quality`` of every limit is its place in ``QUALITIES``; ``metered`` marks the limits of elements that a device of
    the site measures: the others are estimated by design and do not count as lost. Down at once, up only after
    everything limit-relevant was good for the recovery hold. BOOT ends with the first snapshot in which every
    limit-relevant point is good, and not before.
    """
    branches_known = some(estimate.branch_age_s <= site.cycle.fail_safe_s) or not len(estimate.branch_age_s)
    blind = not branches_known and estimate.interface_age_s > site.cycle.fail_safe_s
    good = not some(metered & (quality > 0))
    usable = not some(quality == WORST_CASE)
    since = min(ready_since_s, now_s) if good else np.inf
    if blind:
        return (Mode.BOOT if mode is Mode.BOOT else Mode.FAIL_SAFE), np.inf
    if mode is Mode.BOOT:
        return (Mode.NORMAL if good else Mode.BOOT), since
    if mode is Mode.FAIL_SAFE:
        held = usable and branches_known
        return (Mode.DEGRADED if held else Mode.FAIL_SAFE), since
    if good and (mode is Mode.NORMAL or now_s - since >= site.cycle.recovery_hold_s):
        return Mode.NORMAL, since
    return Mode.DEGRADED, since
