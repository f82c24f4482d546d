"""What a stored MWh will be worth: the dual of the energy balance of a look-ahead over scenarios.

For each scenario one linear programme keeps every limit over the coming periods at least cost; the derivative of that
cost by the energy stored now is its worth there. It is computed at several contents of every storage, so that the
fast loop has a price for the contents that it will reach before the next plan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.plan import StoredEnergyPrice
from controller.domain.unit import Unit
from controller.planning.dispatch_programme import (
    NOTHING_ELSE,
    W_PER_MW,
    Costs,
    Programme,
    known_contents,
    programme,
)
from controller.planning.outlook import Periods, Room, Scenario

Array = NDArray[np.float64]

REACH_H = 0.5  # contents that are priced lie within what this long moves
CONTENTS = 5


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
    costs: Costs = NOTHING_ELSE,
) -> tuple[StoredEnergyPrice, ...]:
    """Prices of all storages with a known content; none when no scenario could be solved in time."""
    soc = known_contents(units, soc_frac)
    if not soc:
        return ()
    found: dict[int, list[Array]] = {k: [] for k in soc}
    for scenario, limits in futures:
        ready = programme(units, scenario, limits, when, soc, costs)
        for k, content in soc.items():
            worth = _worths(ready, units[k], k, content)
            if worth is not None:
                found[k].append(worth)
    return tuple(_price(units[k], soc[k], opinion(np.stack(worths))) for k, worths in found.items() if worths)


def schedule_storage(
    units: tuple[Unit, ...],
    scenario: Scenario,
    limits: Room,
    when: Periods,
    soc_frac: Array,
    costs: Costs = NOTHING_ELSE,
) -> Array | None:
    """Power of every storage (period, unit; W, load convention; others 0) in one future; None without an optimum."""
    ready = programme(units, scenario, limits, when, known_contents(units, soc_frac), costs)
    solution = ready.solver.solve()
    if solution is None:
        return None
    out = np.zeros((len(when.hours), len(units)))
    for k, store in ready.stores.items():
        out[:, k] = W_PER_MW * (solution[0][store.charge] - solution[0][store.discharge])
    return out


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


def _worths(ready: Programme, unit: Unit, k: int, soc_frac: float) -> Array | None:
    """Worth of one more MWh in a storage at its contents, the others at their present ones; None without an optimum."""
    assert unit.storage is not None
    row, size, out = ready.stores[k].balance, unit.storage.e_rated_wh / W_PER_MW, []
    for content in contents_of(unit, soc_frac).tolist():
        ready.solver.fix_row(row, content * size)
        solution = ready.solver.solve()
        if solution is None:
            break
        out.append(-float(solution[1][row]))
    ready.solver.fix_row(row, soc_frac * size)
    complete = len(out) == len(contents_of(unit, soc_frac)) and bool(np.isfinite(out).all())
    return np.array(out) if complete else None
