"""What energy in a battery is worth to the fast loop: what the plan says, and an opinion of its own without one.

Without a plan, a site that had to curtail generation lately wants its batteries empty again for the next surplus; one
that had to curtail demand wants them full. Without such a reason a battery returns to its reference content. The
prices are small against curtailment and against a limit, so that they decide only when nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.resources import Resources
from controller.domain.instruction import Standing
from controller.domain.masks import some
from controller.domain.plan import StoragePlan, StoredEnergyPrice
from controller.domain.site import Site
from controller.domain.unit import Storage

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STEER_EUR_PER_MWH = 25.0
MEMORY_S = 2700.0  # how long after the last binding limit the next one is expected
PLAN_MAX_PER_DEAREST = 2.0
RESTORE_S = 14400.0  # before the end of a known horizon from when on the reference content counts again
PLAN, RULE = "plan", "rule"
"""What a worth comes from that no instruction brought: the snapshot's plan, or the loop's own opinion."""


@dataclass(frozen=True, slots=True)
class Surplus:
    """When generation and when demand was last held back by a limit (site seconds; −inf = never)."""

    generation_held_s: float = -np.inf
    demand_held_s: float = -np.inf


def observe_surplus(previous: Surplus, now_s: float, r: Resources, held_back_w: Array) -> Surplus:
    """Remember who was held back: ``held_back_w`` per resource, W withheld or absorbed because of a limit."""
    relevant = held_back_w > 0.01 * r.rated_w
    generation = some(relevant & (r.sign < 0.0) & ~r.is_storage)
    demand = some(relevant & (r.sign > 0.0) & ~r.is_storage)
    return Surplus(
        now_s if generation else previous.generation_held_s,
        now_s if demand else previous.demand_held_s,
    )


@dataclass(frozen=True, slots=True)
class Worth:
    """Worth of one more MWh in each unit's storage, EUR, and what says so; 0 and empty for units without storage."""

    eur_per_mwh: Array
    cause: tuple[str, ...]


Prices = Mapping[str, tuple[StoredEnergyPrice, str]]
"""Price and its cause, by unit."""


def prices_in_force(plan: StoragePlan | None, standing: Sequence[Standing], now_s: float) -> Prices:
    """What was said about stored energy and holds now: the snapshot's plan, above it what came as an instruction."""
    said = {price.unit: (price, PLAN) for price in (() if plan is None else plan.in_force(now_s))}
    told = ((s.instruction.worth, s.cause) for s in standing if s.instruction.worth is not None)
    return said | {worth.unit: (worth, cause) for worth, cause in told}


def stored_energy_value(
    site: Site, now_s: float, started_s: float, surplus: Surplus, soc_frac: Array, prices: Prices
) -> Worth:
    """What energy in each unit's storage is worth at its present content.

    A price in force decides for its unit, but never beyond ``PLAN_MAX_PER_DEAREST`` of the dearest unit's price: far
    below what a limit is worth.
    """
    out, cause = np.zeros(len(site.units)), [""] * len(site.units)
    most = PLAN_MAX_PER_DEAREST * max((u.price_eur_per_mwh for u in site.units), default=0.0)
    left_s = np.inf if site.horizon_s is None else started_s + site.horizon_s - now_s
    long_run = site.horizon_s is not None and left_s > RESTORE_S
    direction = _direction(site, now_s, surplus, long_run)
    for k, unit in enumerate(site.units):
        if unit.storage is None or not math.isfinite(soc_frac[k]):
            continue
        price, cause[k] = prices.get(unit.id, (None, RULE))
        if price is None:
            out[k] = _value(unit.storage, float(soc_frac[k]), direction, long_run)
        else:
            out[k] = float(np.clip(price.at(float(soc_frac[k])), -most, most))
    return Worth(out, tuple(cause))


def _direction(site: Site, now_s: float, surplus: Surplus, long_run: bool) -> float:
    """−1: room for surplus is wanted, +1: energy is wanted, 0: neither."""
    generation = now_s - surplus.generation_held_s < MEMORY_S
    demand = now_s - surplus.demand_held_s < MEMORY_S
    if generation != demand:
        return -1.0 if generation else 1.0
    never = surplus.generation_held_s == surplus.demand_held_s
    if never and long_run:
        generates, consumes = any(u.kind.generates for u in site.units), any(u.kind.consumes for u in site.units)
        return float(consumes) - float(generates)
    return 0.0


def _value(storage: Storage, soc: float, direction: float, long_run: bool) -> float:
    if direction < 0.0 and (long_run or soc > storage.soc_initial_frac):
        return -STEER_EUR_PER_MWH
    if direction > 0.0:
        return STEER_EUR_PER_MWH
    return STEER_EUR_PER_MWH if soc < storage.soc_initial_frac - 0.002 else 0.0


def storage_marginal_price(site: Site, r: Resources, value_eur_per_mwh: Array) -> Array:
    """Relative gain of one more W of every storage resource (others: their price): value moved less wear."""
    out = r.price.copy()
    for k in np.flatnonzero(r.is_storage).tolist():
        unit = site.units[r.unit[k]]
        if unit.storage is None:
            continue
        value, wear = value_eur_per_mwh[r.unit[k]], unit.price_eur_per_mwh
        charging = r.sign[k] > 0.0
        gain = value * unit.storage.eff_charge_frac if charging else -value / unit.storage.eff_discharge_frac
        out[k] = (gain - wear) / r.price_scale
    return out
