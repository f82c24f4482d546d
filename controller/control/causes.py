"""Who decided a unit's set point and why: the layer that owns it, and the causes, strongest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.control.sold import bought
from controller.domain.command import Setpoint
from controller.domain.owner import Owner
from controller.domain.record import Mode
from controller.limits.base import as_lists
from controller.limits.unit_ranges import Sold, UnitRange

if TYPE_CHECKING:
    from controller.control.decision import Decision, Support
    from controller.control.engine import Engine

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LIMITS_MAX = 3  # named per unit
WEIGHT_MIN = 1e-4
AT_CAP_FRAC = 0.005  # of the rating: this near to a cap, the cap decides
CONTESTED_FRAC = 0.02  # of the rating: this far from what was asked for is a conflict


@dataclass(frozen=True, slots=True)
class Verdict:
    """Owner of one set point and its causes; the dispatch owns what nobody restricts, without a cause."""

    owner: Owner
    causes: tuple[str, ...] = ()


FREE = Verdict(Owner.DISPATCH)


def verdicts(
    engine: Engine, decision: Decision, set_p_w: Array, held: BoolArray, safe: BoolArray, mode: Mode, lost: BoolArray
) -> list[Verdict]:
    """One verdict per unit, in the site's order."""
    by_weight = _limits_by_weight(engine, decision)
    moved = np.abs(decision.plan.q_var) > engine.bands.q_reason_var
    sold = bought(engine, decision)
    nobody_asks = not any(decision.in_force.units.by) and decision.support is None
    out: list[Verdict] = []
    for k, (p_w, is_safe, shaped) in enumerate(as_lists(set_p_w, safe, held | moved)):
        if is_safe:
            out.append(Verdict(Owner.FAIL_SAFE, ("unit.lost",) if lost[k] else (f"mode.{mode.value}",)))
            continue
        names = tuple(by_weight[k])[:LIMITS_MAX] if shaped else ()
        if nobody_asks and not names:
            out.append(FREE)
            continue
        verdict = _verdict(engine, decision, k, p_w, names)
        if names and k in sold:
            verdict = _with_sold(verdict, sold[k], p_w)
        out.append(verdict if decision.support is None else _with_support(verdict, decision.support, k))
    return out


def _with_sold(verdict: Verdict, sold: Sold, p_w: float) -> Verdict:
    """What limits take of a unit that has sold is its order's; beyond what it has sold, the limits' own."""
    within = abs(p_w) >= sold.above_w and verdict.owner is Owner.LIMITS
    return Verdict(sold.owner if within else verdict.owner, (*verdict.causes, sold.cause))


def _with_support(verdict: Verdict, support: Support, k: int) -> Verdict:
    """Who asks for a unit's reactive power is its last cause, and owns the set point that nobody else restricts."""
    if not support.assisting[k]:
        return verdict
    owner = support.standing.instruction.owner if verdict.owner is Owner.DISPATCH else verdict.owner
    return Verdict(owner, (*verdict.causes, support.standing.cause))


def _limits_by_weight(engine: Engine, decision: Decision) -> list[dict[str, None]]:
    """Per unit: the limits that weigh on it, heaviest first, each once."""
    r, ids = engine.resources, engine.limit_ids
    binding = (decision.plan.shadow > 0.0).nonzero()[0]
    by_unit = r.most_by_unit(decision.plan.shadow[binding, None] * decision.effects.worse[binding] * r.base_w)
    row, unit = (by_unit > WEIGHT_MIN).nonzero()
    heaviest_first = np.lexsort((row, -by_unit[row, unit], unit))
    limit = decision.rows.limit[binding[row[heaviest_first]]]
    out: list[dict[str, None]] = [{} for _ in engine.unit_ids]
    for k, at in as_lists(unit[heaviest_first], limit):
        out[k].setdefault(ids[at])
    return out


def _verdict(engine: Engine, decision: Decision, k: int, p_w: float, limits: tuple[str, ...]) -> Verdict:
    """A range owns a set point at its edge; inside it the limits do, with the range as the second cause."""
    units = decision.in_force.units
    ranges = units.by[k] if len(units.by) else ()
    if not ranges:
        return Verdict(Owner.LIMITS, limits) if limits else FREE
    low_w, high_w, slack_w = float(units.low_w[k]), float(units.high_w[k]), AT_CAP_FRAC * engine.units.p_rated_w[k]
    causes = tuple(dict.fromkeys(x.cause for x in ranges))
    if (p_w <= 0.0 and p_w <= low_w + slack_w) or (p_w >= 0.0 and p_w >= high_w - slack_w):
        deciding = [x for x in ranges if _sets(x, low_w, high_w)]
        return Verdict(deciding[0].owner if deciding else Owner.LIMITS, (*causes, *limits))
    if limits:
        return Verdict(Owner.LIMITS, (*limits, *causes))
    return Verdict(Owner.DISPATCH, causes)


def _sets(wanted: UnitRange, low_w: float, high_w: float) -> bool:
    """Whether a range gave one of the edges in force."""
    return low_w in (wanted.low_w, wanted.high_w) or high_w in (wanted.low_w, wanted.high_w)


def contested(engine: Engine, decision: Decision, setpoints: tuple[Setpoint, ...]) -> Mapping[str, str]:
    """Units that do not get what was asked for them, and both causes in words."""
    units = decision.in_force.units
    out = {engine.site.units[k].id: text for k, text in units.clashes}
    if not any(units.by):
        return out
    for k, (unit, s) in enumerate(zip(engine.site.units, setpoints, strict=True)):
        asked = [x for x in (units.by[k] if units.by else ()) if x.low_w == x.high_w and x.low_w != 0.0]
        if asked and abs(s.p_w) < abs(asked[0].low_w) - CONTESTED_FRAC * unit.p_rated_w:
            others = ", ".join(c for c in s.causes if c != asked[0].cause) or s.owner
            text = f"{asked[0].cause} asks {asked[0].low_w / 1e3:.4g} kW, {others} leaves {s.p_w / 1e3:.4g} kW"
            out.setdefault(unit.id, text)
    return out
