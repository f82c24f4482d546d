"""How far each unit may be moved in this cycle: what it has, what it is believed to have, what it may not do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.dispatch import Bounds
from controller.control.resources import Resources
from controller.control.tuning import Tuning
from controller.domain.site import Site
from controller.estimation.actuator import UnitArrays
from controller.estimation.estimate import Estimate

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SITS_FRAC = 0.004  # of rated power: who is nearer to its cap than its meter's noise is held by it


@dataclass(frozen=True, slots=True)
class Probe:
    """Per resource: how far it was tried beyond its output in the last cycle (0 = it was not), and that output, W."""

    step_w: Array
    output_w: Array


@dataclass(frozen=True, slots=True)
class Reach:
    """Bounds for the dispatch and what lies behind them, per resource.

    ``withheld_w`` is how much more the resource could give now (0 when it is free), ``probing`` marks resources whose
    limit is unknown and that are only tried a little further (``probe``); ``fixed`` those that get no credit.
    ``given_up_w`` is what goes on record as withheld: of who does not say what it has, and sits at its cap, half of the
    step by which it is tried, for all that is known is that it is between nothing and that.
    """

    bounds: Bounds
    output_w: Array
    withheld_w: Array
    probing: BoolArray
    probe: Probe
    fixed: BoolArray
    given_up_w: Array


def reach(
    site: Site,
    units: UnitArrays,
    resources: Resources,
    estimate: Estimate,
    set_p_w: Array,
    last: Probe,
    lost: BoolArray,
    tuning: Tuning,
) -> Reach:
    """Bounds of every resource from the estimate and the set points in force (``set_p_w``, load convention).

    ``last`` is how capped resources that do not report what they have were tried in the last cycle.
    """
    r = resources
    output = r.output_w(estimate.unit_p_w)
    fixed = (estimate.deaf | lost)[r.unit]
    withheld, probing, probe, given_up = _withheld(r, estimate, output, set_p_w, last, site.cycle.cycle_s, tuning)
    content = _storage_room(site, r, estimate, tuning)
    creep = output + tuning.limited_frac * r.rated_w
    content = np.where(estimate.limited_sign[r.unit] == r.sign, np.minimum(content, creep), content)
    up = np.where(r.is_storage, content - output, withheld)
    up = np.minimum(np.maximum(np.where(fixed, 0.0, up), 0.0), np.maximum(r.rated_w - output, 0.0))
    down = np.where(fixed, 0.0, output)
    down_min = np.where(r.is_storage, np.maximum(output - content, 0.0), 0.0)
    q_limit = np.minimum(units.q_max_var, np.sqrt(np.maximum(units.s_rated_va**2 - estimate.unit_p_w**2, 0.0)))
    q_fixed = estimate.deaf | estimate.deaf_q | lost
    low = np.where(q_fixed, estimate.unit_q_var, -q_limit)
    high = np.where(q_fixed, estimate.unit_q_var, q_limit)
    return Reach(Bounds(up, down, down_min, low, high), output, withheld, probing & ~fixed, probe, fixed, given_up)


def _withheld(
    r: Resources, estimate: Estimate, output: Array, set_p_w: Array, last: Probe, cycle_s: float, tuning: Tuning
) -> tuple[Array, BoolArray, Probe, Array]:
    """What a capped resource could give beyond its output, whether that is a guess, the guess, and what is withheld.

    A resource that does not say what it has and sits at the cap that is in force inside it is tried further, twice as
    far each time it follows. While it rises it may lag behind its cap; as soon as it stays behind it without rising it
    is free, and what it gives is all it has.
    """
    avail = estimate.avail_w[r.unit]
    cap = np.maximum(set_p_w[r.unit] * r.sign, 0.0)
    in_force = np.minimum(np.maximum(estimate.modelled_p_w[r.unit] * r.sign, 0.0), cap)
    known = np.isfinite(avail) | r.is_storage
    rising = (last.step_w > 0.0) & (output - last.output_w > tuning.rising_frac * r.rated_w)
    near = np.where(rising, tuning.still_at_cap_frac, tuning.at_cap_frac) * r.rated_w
    capped = ~known & (cap < 0.995 * r.rated_w) & (output > in_force - near)
    smallest = tuning.slack_min_frac * r.rated_w
    largest = np.maximum(tuning.probe_frac * r.rated_w, r.ramp_up_w_per_s * cycle_s)
    probe = np.where(capped, np.minimum(np.maximum(2.0 * last.step_w, smallest), largest), 0.0)
    reported = np.where(avail - output > tuning.free_frac * r.rated_w, avail - output, 0.0)
    room = np.maximum(r.rated_w - output, 0.0)
    withheld = np.where(known, np.where(r.is_storage, 0.0, reported), np.minimum(probe, room))
    sits = capped & (output > in_force - SITS_FRAC * r.rated_w)
    given_up = np.where(known, withheld, np.where(sits, 0.5 * withheld, 0.0))
    return withheld, capped, Probe(probe, output), given_up


def _storage_room(site: Site, r: Resources, estimate: Estimate, tuning: Tuning) -> Array:
    """Largest power that the energy content allows in each direction, tapering off toward full and empty."""
    out = r.rated_w.copy()
    taper_h = max(tuning.storage_taper_s, 3.0 * site.cycle.cycle_s) / 3600.0
    for k in np.flatnonzero(r.is_storage).tolist():
        unit_index = r.unit[k]
        storage = site.units[unit_index].storage
        if storage is None:
            continue
        soc = estimate.soc_frac[unit_index]
        if not np.isfinite(soc):
            out[k] = 0.0
            continue
        if r.sign[k] > 0.0:
            left = (storage.soc_max_frac - soc) / storage.eff_charge_frac
        else:
            left = (soc - storage.soc_min_frac) * storage.eff_discharge_frac
        out[k] = min(out[k], max(left, 0.0) * storage.e_rated_wh / taper_h)
    return out
