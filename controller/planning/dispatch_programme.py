"""One possible future as a linear programme: keep every limit by curtailment, reactive power and storage at least cost.

Powers are in MW, energies in MWh, costs in EUR. Limits are soft, at a price well above what keeping them costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.unit import Unit
from controller.planning.linear_program import Index, LinearProgramme, Solver
from controller.planning.outlook import Periods, Room, Scenario

Array = NDArray[np.float64]

W_PER_MW = 1e6
VIOLATION_PER_DEAREST = 20.0  # price of breaking a limit over what its most effective unit would cost to keep it
EFFECT_MIN_PER_W = 1e-12
# Each scenario knows its own future and would use the last moment; nobody else should count on that.
SOON_PERIODS, LATER_POWER_FRAC = 2, 0.7
# The fast loop moves storage only for more than its wear. Where waiting costs nothing the dual is the wear itself and
# nothing would ever move; so the programme counts a little more than the real wear, and a little more yet for later.
WEAR_SHARE, LATER_WEAR_PER_H = 1.2, 0.01

Move = tuple[int, float, Index]  # unit, sign of its ΔP (load convention), columns in MW


@dataclass(frozen=True, slots=True)
class Costs:
    """What else counts: energy that storages lack of their initial content at the end of the last period, energy that
    they take from the network (and earn when they give it back), and by what share per hour later costs count less.
    """

    deficit_eur_per_mwh: float = 0.0
    energy_eur_per_mwh: float = 0.0
    discount_per_h: float = 0.0


NOTHING_ELSE = Costs()


@dataclass(frozen=True, slots=True)
class Store:
    """One storage in the programme: charging and discharging columns, and the row of its first energy balance."""

    charge: Index
    discharge: Index
    balance: int


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme at the solver's, and where its storages are, by unit."""

    solver: Solver
    stores: dict[int, Store]


def known_contents(units: tuple[Unit, ...], soc_frac: Array) -> dict[int, float]:
    """Contents of the storages that can take part, by unit."""
    return {
        k: float(soc_frac[k])
        for k, u in enumerate(units)
        if u.storage is not None and u.storage.e_rated_wh > 0.0 and np.isfinite(soc_frac[k])
    }


def programme(
    units: tuple[Unit, ...], scenario: Scenario, limits: Room, when: Periods, soc: dict[int, float], costs: Costs
) -> Programme:
    """The programme of one scenario; ``soc`` is the content of each storage that takes part."""
    lp, n = LinearProgramme(), len(when.hours)
    weight = np.exp(-costs.discount_per_h * (np.cumsum(when.hours) - when.hours))
    moves: list[Move] = []
    stores = {k: _storage(lp, units[k], when, content, costs, weight) for k, content in soc.items()}
    for k, unit in enumerate(units):
        if k in stores:
            moves += [(k, 1.0, stores[k].charge), (k, -1.0, stores[k].discharge)]
        elif unit.storage is None:
            most, price = scenario.available_w[:, k] / W_PER_MW, unit.price_eur_per_mwh * when.hours * weight
            moves.append((k, 1.0 if unit.kind.generates else -1.0, lp.columns(np.zeros(n), most, price)))
    reactive = [(k, _reactive(lp, unit, n)) for k, unit in enumerate(units) if unit.q_max_var > 0.0]
    if len(limits.room):
        dearest = max(*(u.price_eur_per_mwh for u in units), costs.energy_eur_per_mwh, 1.0)
        _limits(lp, limits, dearest * when.hours * weight, moves, reactive)
    return Programme(lp.solver(), stores)


def _reactive(lp: LinearProgramme, unit: Unit, n: int) -> Index:
    most = np.full(n, unit.q_max_var / W_PER_MW)
    return lp.columns(-most, most, np.zeros(n))


def _storage(lp: LinearProgramme, unit: Unit, when: Periods, soc_frac: float, costs: Costs, weight: Array) -> Store:
    """Columns and rows of one storage."""
    s, n, hours = unit.storage, len(when.hours), when.hours
    assert s is not None
    size = s.e_rated_wh / W_PER_MW
    power = unit.p_rated_w / W_PER_MW * np.where(np.arange(n) < SOON_PERIODS, 1.0, LATER_POWER_FRAC)
    wear = unit.price_eur_per_mwh * (WEAR_SHARE + LATER_WEAR_PER_H * (np.cumsum(hours) - hours))
    energy = costs.energy_eur_per_mwh
    charge = lp.columns(np.zeros(n), power, (wear + energy) * hours * weight)
    discharge = lp.columns(np.zeros(n), power, (wear - energy) * hours * weight)
    # The present content may lie outside the band by a rounding of its meter.
    low, high = min(s.soc_min_frac, soc_frac), max(s.soc_max_frac, soc_frac)
    stored = lp.columns(np.full(n, low * size), np.full(n, high * size), np.zeros(n))
    first, one = np.arange(n) == 0, np.ones((n, 1))
    terms = [
        (stored[:, None], one),
        (np.roll(stored, 1)[:, None], np.where(first, 0.0, -1.0)[:, None]),
        (charge[:, None], -(s.eff_charge_frac * hours)[:, None]),
        (discharge[:, None], (hours / s.eff_discharge_frac)[:, None]),
    ]
    start = np.where(first, soc_frac * size, 0.0)
    rows = lp.rows(terms, start, start)
    if costs.deficit_eur_per_mwh > 0.0:
        missing = lp.columns(np.zeros(1), np.full(1, np.inf), np.full(1, costs.deficit_eur_per_mwh * weight[-1]))
        wanted = np.full(1, s.soc_initial_frac * size)
        lp.rows([(missing[:, None], one[:1]), (stored[-1:, None], one[:1])], wanted, np.full(1, np.inf))
    return Store(charge, discharge, int(rows[0]))


def _limits(
    lp: LinearProgramme, limits: Room, eur_per_mw: Array, moves: list[Move], reactive: list[tuple[int, Index]]
) -> None:
    """One soft row per limit and period; ``eur_per_mw`` is what a MW of the dearest unit costs in each period."""
    at, m = limits.period, len(limits.room)
    strongest = np.maximum(np.abs(limits.effect_p).max(axis=1), EFFECT_MIN_PER_W)
    price = VIOLATION_PER_DEAREST * eur_per_mw[at] / (W_PER_MW * strongest)
    over = lp.columns(np.zeros(m), np.full(m, np.inf), price)
    terms = [(columns[at][:, None], W_PER_MW * sign * limits.effect_p[:, [k]]) for k, sign, columns in moves]
    terms += [(columns[at][:, None], W_PER_MW * limits.effect_q[:, [k]]) for k, columns in reactive]
    lp.rows([*terms, (over[:, None], -np.ones((m, 1)))], np.full(m, -np.inf), limits.room)
