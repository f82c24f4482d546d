"""What was delivered of an activation and what it earns, settlement period by settlement period. Pure.

The rule is that of the flexibility market (:mod:`controller.planning.settlement`): single sided, delivered is never
more than ordered. The price is the bid's, per MWh.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from controller import documents
from controller.balancing.national.activation import PERIOD_S, Activation, Sold
from controller.balancing.national.sharing import Plan
from controller.planning.settlement import HOUR_S, W_PER_MW, OrderSettlement, Tariff, settle_order

Measured = Callable[[str, float, float], float | None]
"""Mean W of a unit between two instants as we measured it; None where we did not all the time."""


def settle(asked: Activation, plan: Plan, sold: Sold, penalty_factor: float, measured_w: Measured) -> OrderSettlement:
    """All its periods. One that nobody measured counts as not delivered."""
    baseline_w = math.fsum(plan.baseline_w.values())
    isps = []
    for from_s, until_s, ordered_w in _quarters(asked, plan):
        each = [measured_w(unit, from_s, until_s) for unit in plan.baseline_w]
        known = [w for w in each if w is not None]
        actual_w = math.fsum(known) if len(known) == len(each) else baseline_w
        isps.append((int(from_s // PERIOD_S), baseline_w, ordered_w, actual_w))
    price = max(sold.price_eur_per_mwh, 0.0) * PERIOD_S / HOUR_S / W_PER_MW
    return settle_order(asked.id, isps, Tariff(price, price * penalty_factor))


def is_measured(asked: Activation, plan: Plan, measured_w: Measured) -> bool:
    """Whether every period of every unit behind it is on record."""
    periods = list(_quarters(asked, plan))
    return all(measured_w(unit, begin, end) is not None for unit in plan.baseline_w for begin, end, _ in periods)


def dump_settlement(settled: OrderSettlement) -> str:
    """As the market and the report read it: W by period, EUR."""
    periods = [
        {"from_utc_s": p.isp * PERIOD_S, "until_utc_s": (p.isp + 1) * PERIOD_S, **_rounded(asdict(p))}
        for p in settled.periods
    ]
    money = {"paid_eur": round(settled.paid_eur, 4), "penalty_eur": round(settled.penalty_eur, 4)}
    return json.dumps({"id": settled.order, "periods": periods, **money}, allow_nan=False)


def dump_plan(plan: Plan) -> str:
    """For the disk; empty for one that delivers nothing."""
    return json.dumps(asdict(plan), allow_nan=False) if plan.p_w else ""


def load_plan(text: str) -> Plan:
    """What :func:`dump_plan` wrote. Raises ValueError or KeyError for anything else."""
    document = json.loads(text)
    baseline, powers = documents.block(document, "baseline_w"), documents.block(document, "p_w")
    return Plan(
        {unit: documents.number(baseline, unit) for unit in baseline},
        {unit: tuple(float(w) for w in powers[unit]) for unit in powers},
        tuple(float(w) for w in document["taken_w"]),
        documents.text(document, "reason"),
    )


def _quarters(asked: Activation, plan: Plan) -> Iterator[tuple[float, float, float]]:
    """Every settlement period that is ordered: begin, end, change (W)."""
    for period, ordered_w in zip(asked.periods, plan.taken_w, strict=True):
        for k in range(round((period.until_utc_s - period.from_utc_s) / PERIOD_S)):
            begin = period.from_utc_s + k * PERIOD_S
            yield begin, begin + PERIOD_S, ordered_w


def _rounded(period: dict[str, Any]) -> dict[str, float]:
    return {key: round(value, 1) for key, value in period.items() if key != "isp"}
