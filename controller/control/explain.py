"""Why each unit gives something up: how much because of which limit, and its place in the order of access.

What a unit could give now and does not is split among the limits that bind, in proportion to what each one's room is
worth (its multiplier) times what the unit does to it: the terms by which the programme itself weighed the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.control.resources import Resources
from controller.control.sold import WORTH_SAYING_FRAC
from controller.domain.masks import some
from controller.domain.record import Withheld
from controller.limits.base import as_lists

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.engine import Engine

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

RELEASING = "release"


def curtailed_w(engine: Engine, decision: Decision) -> Array:
    """What each unit could give beyond its output and does not, W ≥ 0; storage gives nothing up."""
    r = engine.resources
    return r.by_unit(np.where(r.is_storage, 0.0, decision.reach.given_up_w))


def withheld_w(engine: Engine, decision: Decision) -> Array:
    """The same per limit and unit (n_limit, n_unit); what no binding limit accounts for is in none of them."""
    r, rows = engine.resources, decision.rows
    binding = np.flatnonzero(decision.plan.shadow > 0.0)
    weight = decision.plan.shadow[binding, None] * decision.effects.worse[binding]
    by_limit = np.zeros((len(engine.site.limits), len(r.unit)))
    np.add.at(by_limit, rows.limit[binding], weight)
    total = by_limit.sum(axis=0)
    share = np.divide(by_limit, total, out=np.zeros_like(by_limit), where=total > 0.0)
    return r.by_unit(share * np.where(r.is_storage, 0.0, decision.reach.given_up_w))


def attributed(
    engine: Engine, by_limit: Array, curtailed: Array, causes: Sequence[tuple[str, ...]], sold: Mapping[int, Withheld]
) -> list[tuple[Withheld, ...]]:
    """Per unit: causes and W, largest first; they sum to what the unit gives up.

    ``sold`` is what a unit gives up of what it has sold, by the unit's place: as far as limits need it, that is no
    longer theirs to account for but the order's.
    A unit that a mode or its own silence holds gives everything up for that; what no limit asks for any more is
    ``release``: it is given back within the dead-band, or as far as a unit that does not tell what it has is tried.
    """
    out: list[tuple[Withheld, ...]] = []
    names, known = engine.limit_ids, engine.limit_place
    for k, (all_w, least_w) in enumerate(as_lists(curtailed, WORTH_SAYING_FRAC * engine.units.p_rated_w)):
        if all_w < least_w:
            out.append(())
            continue
        if causes[k] and causes[k][0] not in known:
            out.append((Withheld(causes[k][0], all_w),))
            continue
        column = by_limit[:, k]
        bought = sold.get(k)
        if bought is not None and some(column):
            column = column * (1.0 - bought.w / all_w)
        worth_saying = np.flatnonzero(column >= least_w)
        order = worth_saying[np.argsort(-column[worth_saying], kind="stable")]
        parts = [(names[i], float(column[i])) for i in order]
        if bought is not None and some(by_limit[:, k]) and bought.w >= least_w:
            parts = sorted([*parts, (bought.cause, bought.w)], key=lambda part: -part[1])
        rest_w = all_w - sum(w for _, w in parts)
        if not parts or rest_w >= least_w:
            parts.append((RELEASING, rest_w))
        out.append(tuple(Withheld(name, w) for name, w in parts))
    return out


def access_ranks(engine: Engine, decision: Decision) -> list[int]:
    """Per unit: its turn to give way, 1 first, under the site's principle; equal turns share a number.

    Storage stands outside (0). ``technical_best`` has an order only while a limit binds: the unit that does most to
    the limit whose room is worth most goes first; without a binding limit all are 0.
    """
    shadow = decision.plan.shadow
    if engine.site.principle != "technical_best":
        return engine.ranks
    if not some(shadow > 0.0):
        return [0] * len(engine.site.units)
    return ranked(engine.resources, -decision.effects.worse[int(np.argmax(shadow))], ~engine.units.is_battery)


def ranked(resources: Resources, turn: Array, takes_part: BoolArray) -> list[int]:
    """Per unit: its place when resources go by ``turn``, the lowest first; 0 for who does not take part."""
    key = np.zeros(len(takes_part))
    key[resources.unit] = turn
    order = np.unique(key[takes_part])
    ranks: list[int] = np.where(takes_part, 1 + np.searchsorted(order, key), 0).tolist()
    return ranks
