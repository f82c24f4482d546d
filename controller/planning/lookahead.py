"""What a stored MWh will be worth: the dual of the energy balance of a look-ahead over scenarios.

For each scenario one linear programme dispatches curtailment, reactive power and storage over the coming periods so
that every limit is kept at least cost; the derivative of that cost by the energy stored now is its worth there. It is
computed at several contents of every storage and averaged over the scenarios, so that the fast loop has a price for
the contents that it will reach before the next plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.plan import StoredEnergyPrice
from controller.domain.unit import Unit
from controller.planning.linear_program import Index, LinearProgramme, Solver
from controller.planning.outlook import Periods, Room, Scenario

Array = NDArray[np.float64]

W_PER_MW = 1e6
VIOLATION_EUR_PER_MWH = 3000.0  # of a limit's rating: above what keeping it costs
REACH_H = 0.5  # contents that are priced lie within what this long moves
CONTENTS = 5
# The fast loop moves storage only for more than its wear. Where waiting costs nothing the dual is the wear itself and
# nothing would ever move; so the programme counts a little more than the real wear, and a little more yet for later.
WEAR_SHARE, LATER_WEAR_PER_H = 1.2, 0.01


Move = tuple[int, float, Index]  # unit, sign of its ΔP (load convention), columns in MW


@dataclass(frozen=True, slots=True)
class _Programme:
    """A programme and, per storage, the row of its first energy balance."""

    solver: Solver
    balance: dict[int, int]


def contents_of(unit: Unit, soc_frac: float) -> Array:
    """Contents (ascending fractions) at which a storage is priced, around the present one."""
    storage = unit.storage
    assert storage is not None
    reach = unit.p_rated_w * REACH_H / storage.e_rated_wh
    low, high = max(soc_frac - reach, storage.soc_min_frac), min(soc_frac + reach, storage.soc_max_frac)
    return np.unique(np.clip(np.linspace(low, high, CONTENTS), storage.soc_min_frac, storage.soc_max_frac).round(6))


def price_stored_energy(
    units: tuple[Unit, ...],
    futures: list[tuple[Scenario, Room]],
    when: Periods,
    soc_frac: Array,
    deficit_eur_per_mwh: float = 0.0,
) -> tuple[StoredEnergyPrice, ...]:
    """Prices of all storages with a known content; none when no scenario could be solved in time.

    ``deficit_eur_per_mwh`` is what a MWh below the initial content costs at the end of the last period.
    """
    soc = {
        k: float(soc_frac[k])
        for k, u in enumerate(units)
        if u.storage is not None and u.storage.e_rated_wh > 0.0 and np.isfinite(soc_frac[k])
    }
    found: dict[int, list[Array]] = {k: [] for k in soc}
    for scenario, limits in futures:
        programme = _programme(units, scenario, limits, when, soc, deficit_eur_per_mwh)
        for k, content in soc.items():
            worth = _worths(programme, units[k], k, content)
            if worth is not None:
                found[k].append(worth)
    return tuple(_price(units[k], soc[k], opinion(np.stack(worths))) for k, worths in found.items() if worths)


def opinion(worths: Array) -> Array:
    """One worth per content from the scenarios' (scenario, content).

    The mean counts the rare and dear; but where most scenarios want to move and none is in a hurry, each says little
    more than the wear, and one that does not care would veto them in the mean. There the median decides.
    """
    mean, median = worths.mean(axis=0), np.median(worths, axis=0)
    return np.where((mean * median > 0.0) & (np.abs(median) > np.abs(mean)), median, mean)


def _price(unit: Unit, soc_frac: float, worth: Array) -> StoredEnergyPrice:
    """The price with a worth that never rises with the content, as its average over exact scenarios does not."""
    falling = np.minimum.accumulate(worth)
    return StoredEnergyPrice(unit.id, tuple(contents_of(unit, soc_frac).tolist()), tuple(falling.tolist()))


def _worths(programme: _Programme, unit: Unit, k: int, soc_frac: float) -> Array | None:
    """Worth of one more MWh in a storage at its contents, the others at their present ones; None without an optimum."""
    assert unit.storage is not None
    row, size, out = programme.balance[k], unit.storage.e_rated_wh / W_PER_MW, []
    for content in contents_of(unit, soc_frac).tolist():
        programme.solver.fix_row(row, content * size)
        solution = programme.solver.solve()
        if solution is None:
            break
        out.append(-float(solution[1][row]))
    programme.solver.fix_row(row, soc_frac * size)
    complete = len(out) == len(contents_of(unit, soc_frac)) and bool(np.isfinite(out).all())
    return np.array(out) if complete else None


def _programme(
    units: tuple[Unit, ...],
    scenario: Scenario,
    limits: Room,
    when: Periods,
    soc: dict[int, float],
    deficit_eur_per_mwh: float,
) -> _Programme:
    lp, n = LinearProgramme(), len(when.hours)
    moves: list[Move] = []
    balance = {}
    for k, unit in enumerate(units):
        if k in soc:
            charge, discharge, balance[k] = _storage(lp, unit, when, soc[k], deficit_eur_per_mwh)
            moves += [(k, 1.0, charge), (k, -1.0, discharge)]
        elif unit.storage is None:
            withheld = lp.columns(
                np.zeros(n), scenario.available_w[:, k] / W_PER_MW, unit.price_eur_per_mwh * when.hours
            )
            moves.append((k, 1.0 if unit.kind.generates else -1.0, withheld))
    reactive = [(k, _reactive(lp, unit, n)) for k, unit in enumerate(units) if unit.q_max_var > 0.0]
    if len(limits.room):
        _limits(lp, limits, when, moves, reactive)
    return _Programme(lp.solver(), balance)


def _reactive(lp: LinearProgramme, unit: Unit, n: int) -> Index:
    most = np.full(n, unit.q_max_var / W_PER_MW)
    return lp.columns(-most, most, np.zeros(n))


def _storage(
    lp: LinearProgramme, unit: Unit, when: Periods, soc_frac: float, deficit_eur_per_mwh: float
) -> tuple[Index, Index, int]:
    """Charging and discharging columns of one storage (MW), and the row of its first energy balance (MWh)."""
    s, n, hours = unit.storage, len(when.hours), when.hours
    assert s is not None
    power, size = np.full(n, unit.p_rated_w / W_PER_MW), s.e_rated_wh / W_PER_MW
    wear = unit.price_eur_per_mwh * hours * (WEAR_SHARE + LATER_WEAR_PER_H * (np.cumsum(hours) - hours))
    charge, discharge = (lp.columns(np.zeros(n), power, wear) for _ in range(2))
    # The present content may lie outside the band by a rounding of its meter.
    low, high = min(s.soc_min_frac, soc_frac), max(s.soc_max_frac, soc_frac)
    energy = lp.columns(np.full(n, low * size), np.full(n, high * size), np.zeros(n))
    first, one = np.arange(n) == 0, np.ones((n, 1))
    terms = [
        (energy[:, None], one),
        (np.roll(energy, 1)[:, None], np.where(first, 0.0, -1.0)[:, None]),
        (charge[:, None], -(s.eff_charge_frac * hours)[:, None]),
        (discharge[:, None], (hours / s.eff_discharge_frac)[:, None]),
    ]
    start = np.where(first, soc_frac * size, 0.0)
    rows = lp.rows(terms, start, start)
    if deficit_eur_per_mwh > 0.0:
        missing = lp.columns(np.zeros(1), np.full(1, np.inf), np.full(1, deficit_eur_per_mwh))
        wanted = np.full(1, s.soc_initial_frac * size)
        lp.rows([(missing[:, None], one[:1]), (energy[-1:, None], one[:1])], wanted, np.full(1, np.inf))
    return charge, discharge, int(rows[0])


def _limits(
    lp: LinearProgramme,
    limits: Room,
    when: Periods,
    moves: list[Move],
    reactive: list[tuple[int, Index]],
) -> None:
    """One soft row per limit and period."""
    at, m = limits.period, len(limits.room)
    over = lp.columns(np.zeros(m), np.full(m, np.inf), VIOLATION_EUR_PER_MWH * when.hours[at])
    terms = [(columns[at][:, None], W_PER_MW * sign * limits.effect_p[:, [k]]) for k, sign, columns in moves]
    terms += [(columns[at][:, None], W_PER_MW * limits.effect_q[:, [k]]) for k, columns in reactive]
    lp.rows([*terms, (over[:, None], -np.ones((m, 1)))], np.full(m, -np.inf), limits.room)
