"""What units have sold: a part of their output that limits may take before anybody else gives way, and only as needed.

In the dispatch that part is a resource of its own, cheaper than every curtailment under the site's principle of access
and dearer than what costs nothing (demand that is waiting, storage at its own price). Without a limit that needs it,
giving it up only costs, so that it is given back. Where nothing is sold, nothing here changes a number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.control.access import LIFO_RATIO
from controller.control.dispatch import Bounds, Effects, Plan, Problem, Wishes
from controller.control.resources import Resources
from controller.domain.record import Withheld
from controller.limits.unit_ranges import Sold, UnitRanges

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.engine import Engine

Array = NDArray[np.float64]
IndexArray = NDArray[np.intp]

STORAGE_FIRST = 1.1
OTHERS_LAST = 0.9
WORTH_SAYING_FRAC = 1e-3  # of the rated power: what is less is rounding


def sold_above_w(units: UnitRanges, r: Resources) -> Array:
    """Per resource: the output beyond which it is sold, W; infinite where nothing is, and for storage."""
    out = np.full(len(r.unit), np.inf)
    for one in units.sold:
        mine = (r.unit == one.unit) & ~r.is_storage
        out[mine] = one.above_w
    return out


def sold_price(price: Array, gain: Array, r: Resources) -> float:
    """Price of what is sold: below everybody's curtailment, above what storage in use costs or earns below that.

    ``price`` is that of curtailment, ``gain`` what one more W counts now. So it is taken for limits, and not to let a
    battery run empty. Where storage leaves room, it is low enough for others that move a limit twice as well.
    """
    cheapest = float(price[~r.is_storage].min(initial=1.0))
    turnover = np.abs(gain[r.is_storage])
    stored = float(turnover[turnover < cheapest].max(initial=0.0))
    return min(max(STORAGE_FIRST * stored, cheapest / LIFO_RATIO), OTHERS_LAST * cheapest)


@dataclass(frozen=True, slots=True)
class Apart:
    """The problem and its resources with what is sold of some (``sold``, by place) as resources of their own behind."""

    problem: Problem
    resources: Resources
    sold: IndexArray

    def whole(self, plan: Plan) -> Plan:
        """The plan of the parts as that of whole resources."""
        if not len(self.sold):
            return plan
        output_w, up_w, down_w = (_together(x, self.sold) for x in (plan.output_w, plan.up_w, plan.down_w))
        n, parts = len(output_w), len(plan.output_w)
        came_to = plan.came_to
        if came_to is not None:
            ends = came_to.ends
            came_to = replace(came_to, ends=np.concatenate([ends[:n], ends[parts : parts + n], ends[2 * parts :]]))
        return replace(plan, output_w=output_w, up_w=up_w, down_w=down_w, came_to=came_to)


def apart(problem: Problem, r: Resources, above_w: Array, price: Array, gain: Array) -> Apart:
    """The problem in which what lies beyond ``above_w`` of a resource costs :func:`sold_price` only."""
    sold = np.flatnonzero(problem.output_w + problem.bounds.up_w > above_w)
    if not len(sold):
        return Apart(problem, r, sold)
    return Apart(_apart(problem, above_w, sold_price(price, gain, r), sold), _parts(r, sold), sold)


def unsold_w(output_w: Array, withheld_w: Array, above_w: Array) -> tuple[Array, Array]:
    """Of what each resource could give now and of what it does not give of it: the part that nobody has bought, W."""
    could_w = output_w + withheld_w
    kept_w = np.maximum(np.minimum(could_w, above_w) - output_w, 0.0)
    nothing = np.isinf(above_w)
    return np.where(nothing, could_w, np.minimum(could_w, above_w)), np.where(nothing, withheld_w, kept_w)


def bought(engine: Engine, decision: Decision) -> dict[int, Sold]:
    """Orders by the unit's place where what the unit could give now reaches into what it has sold."""
    if not decision.in_force.units.sold:
        return {}
    could_w = engine.resources.most_by_unit(decision.reach.output_w + decision.reach.withheld_w)
    least_w = WORTH_SAYING_FRAC * engine.units.p_rated_w
    return {x.unit: x for x in decision.in_force.units.sold if could_w[x.unit] > x.above_w + least_w[x.unit]}


def sold_part(engine: Engine, decision: Decision) -> dict[int, Withheld]:
    """What units do not give now of what they have sold, and by which order, by the unit's place."""
    sold = decision.in_force.units.sold
    if not sold:
        return {}
    r, bound = engine.resources, decision.reach
    _, kept_w = unsold_w(bound.output_w, bound.given_up_w, decision.sold_above_w)
    taken_w = r.by_unit(np.where(r.is_storage, 0.0, bound.given_up_w - kept_w))
    return {one.unit: Withheld(one.cause, float(taken_w[one.unit])) for one in sold}


def _apart(problem: Problem, above_w: Array, price: float, sold: IndexArray) -> Problem:
    """The problem with the sold parts behind the resources, each at its own price."""
    bounds, output = problem.bounds, problem.output_w
    n, n_unit = len(output), len(problem.q_var)
    kept = np.minimum(output, above_w)
    up = np.minimum(bounds.up_w, np.maximum(above_w - output, 0.0))
    sold_down = np.minimum(bounds.down_w, output - kept)
    take = np.concatenate([np.arange(n), sold])
    columns = np.concatenate([take, n + take, 2 * n + np.arange(n_unit)])
    wished, expected, none = problem.wishes, problem.expected, np.zeros(len(sold))
    return replace(
        problem,
        effects=Effects(problem.effects.by_resource[:, take], problem.effects.by_unit_q),
        output_w=np.concatenate([kept, (output - kept)[sold]]),
        bounds=Bounds(
            np.concatenate([up, (bounds.up_w - up)[sold]]),
            np.concatenate([bounds.down_w - sold_down, sold_down[sold]]),
            np.concatenate([bounds.down_min_w, none]),
            bounds.q_low_var,
            bounds.q_high_var,
        ),
        marginal_price=np.concatenate([problem.marginal_price, none + price]),
        curvature=np.concatenate([problem.curvature, none]),
        lent_share=problem.lent_share[take],
        expected=None if expected is None else replace(expected, ends=expected.ends[columns]),
        wishes=None if wished is None else Wishes(wished.a[:, columns], wished.b, wished.penalty),
    )


def _parts(r: Resources, sold: IndexArray) -> Resources:
    """The resources with the sold parts behind them, as far as the dispatch looks at them."""
    take = np.concatenate([np.arange(len(r.unit)), sold])
    return replace(
        r, unit=r.unit[take], sign=r.sign[take], rated_w=r.rated_w[take], price=r.price[take],
        is_storage=r.is_storage[take], latency_s=r.latency_s[take], tau_s=r.tau_s[take],
        ramp_up_w_per_s=r.ramp_up_w_per_s[take],
    )  # fmt: skip


def _together(parts: Array, sold: IndexArray) -> Array:
    """Every resource as a whole again."""
    n = len(parts) - len(sold)
    out = parts[:n].copy()
    out[sold] += parts[n:]
    return out
