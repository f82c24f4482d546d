"""The slow loop of one site: learns from every cycle, and now and then says what stored energy is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.plan import StoragePlan
from controller.domain.site import Site
from controller.estimation.estimator import EstimatorState
from controller.estimation.layout import Layout
from controller.planning.calendar import QUARTER_S, Calendar
from controller.planning.dispatch_programme import NOTHING_ELSE, Costs
from controller.planning.forecast import forecast
from controller.planning.history import History, new_history, see
from controller.planning.lookahead import price_stored_energy
from controller.planning.observation import observed_series
from controller.planning.outlook import Offsets, periods, room, scenarios, tight
from controller.planning.priors import site_prior

BoolArray = NDArray[np.bool_]

HORIZON_QUARTERS = 96
LIFE_S = 3.0 * QUARTER_S  # a plan outlives the loss of two successors


@dataclass(frozen=True, slots=True)
class Planner:
    """Everything the slow loop remembers; replaced whole, never changed."""

    layout: Layout
    history: History


def new_planner(layout: Layout, calendar: Calendar | None) -> Planner:
    """A planner that has seen nothing; without a calendar nobody knows what time of day it is."""
    prior = site_prior(layout, calendar is not None)
    return Planner(layout, new_history(calendar or Calendar(), prior))


def observe(planner: Planner, state: EstimatorState, held: BoolArray) -> Planner:
    """After one more cycle of the fast loop."""
    seen = observed_series(planner.layout, state, held)
    return replace(planner, history=see(planner.history, state.now_s, seen))


def plan_storage(planner: Planner, state: EstimatorState, ends_s: float | None = None) -> StoragePlan | None:
    """Prices of stored energy for the next quarters of an hour, or None when there is nothing to say.

    ``ends_s`` is the site second at which everything ends, if it does: energy then missing has the site's price.
    """
    site, history = planner.layout.site, planner.history
    if history.next_quarter is None or not any(u.storage is not None for u in site.units):
        return None
    quarters, costs = _until(site, history, history.next_quarter, ends_s)
    when = periods(quarters)
    futures = scenarios(planner.layout, forecast(history, quarters), when)
    offsets = Offsets(state.offset_v, state.offset_flow)
    limited = [(s, tight(site, room(planner.layout, state.sensitivities.grid.grid, s, offsets))) for s in futures]
    prices = price_stored_energy(site.units, limited, when, state.soc_frac, costs)
    return StoragePlan(state.now_s, state.now_s + LIFE_S, prices) if prices else None


def _until(site: Site, history: History, quarter: int, ends_s: float | None) -> tuple[int, Costs]:
    """Quarter hours to look ahead from ``quarter`` on, and what counts behind them."""
    if ends_s is None:
        return HORIZON_QUARTERS, NOTHING_ELSE
    left = max(int(np.ceil((ends_s - history.calendar.start_s(quarter)) / QUARTER_S)), 1)
    if left > HORIZON_QUARTERS:
        return HORIZON_QUARTERS, NOTHING_ELSE
    return left, Costs(deficit_eur_per_mwh=site.soc_deficit_eur_per_mwh)
