"""What a span of history says: what bound, what was used, who gave up what, and what it cost. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.balancing.national.sales import Sale
from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.domain.unit import Unit, UnitKind
from controller.history.batch import ESTIMATED
from controller.planning.support_settlement import Asked, SupportSettlement, settle_support
from controller.report.lifo import lifo_trim
from controller.report.past import Past

Array = NDArray[np.float64]

BINDS_FRAC = 0.97
"""A limit binds in a period in which it was used to this share of it at least."""
OVER_FRAC = 1.005
"""A limit counts as exceeded above this: class 0.5 meters do not tell less from full use."""
JOIN_S = 1800.0
"""Two bindings of one limit with less between them are one."""
NOTHING_WH = 1.0
"""Less than this in a period is the rounding of the record."""
W_PER_MW = 1e6


@dataclass(frozen=True, slots=True)
class Binding:
    """One limit from ``from_utc_s`` to ``to_utc_s``; above :data:`OVER_FRAC` it was exceeded, for ``over_s``."""

    limit: str
    from_utc_s: float
    to_utc_s: float
    highest_frac: float
    over_s: float


@dataclass(frozen=True, slots=True)
class Use:
    """What a battery or flexible demand did: energies in Wh, ≥ 0, and the largest consumption, W."""

    unit: str
    kind: str
    taken_wh: float
    given_wh: float
    most_w: float
    cost_eur: float


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What one unit gave up for one cause, in whose turn; from the record of curtailments.

    ``estimated`` is set where the unit did not say what it could give: it gave up about so much, if anything.
    """

    unit: str
    cause: str
    principle: str
    rank: int
    energy_wh: float
    most_w: float
    lasted_s: float
    cost_eur: float
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A LIFO threshold scheme on the same night (see :mod:`controller.report.lifo`), Wh by unit and EUR.

    ``no_demand_wh`` is what it would have curtailed had the flexible demand not been there either.
    """

    limit_w: float
    by_unit_wh: tuple[tuple[str, float], ...]
    cost_eur: float
    no_demand_wh: float

    @property
    def energy_wh(self) -> float:
        """All of it."""
        return math.fsum(wh for _, wh in self.by_unit_wh)


@dataclass(frozen=True, slots=True)
class Findings:
    """The whole page in values.

    ``generated_wh`` is what the generators gave; ``curtailed_wh`` what they did not, ``estimated_wh`` of it by
    estimate.
    """

    bindings: tuple[Binding, ...]
    uses: tuple[Use, ...]
    given_up: tuple[GivenUp, ...]
    what_if: WhatIf | None
    generated_wh: float
    curtailed_wh: float
    estimated_wh: float
    curtailed_eur: float
    orders: tuple[tuple[float, str], ...]
    support: tuple[SupportSettlement, ...] = ()
    sales: tuple[Sale, ...] = ()


def find(site: Site, past: Past) -> Findings:
    """Everything that the page says about the span."""
    given = _given_up(site, past)
    generators = {unit.id for unit in site.units if unit.kind.generates}
    return Findings(
        bindings=tuple(b for limit in site.limits for b in _bindings(limit.id, past)),
        uses=tuple(_use(unit, past) for unit in site.units if not unit.kind.generates),
        given_up=given,
        what_if=_what_if(site, past),
        generated_wh=math.fsum(-_energy_wh(past, unit.id) for unit in site.units if unit.kind.generates),
        curtailed_wh=math.fsum(g.energy_wh for g in given if g.unit in generators),
        estimated_wh=math.fsum(g.energy_wh for g in given if g.unit in generators and g.estimated),
        curtailed_eur=math.fsum(g.cost_eur for g in given if g.unit in generators),
        orders=tuple((e.utc_s, e.text) for e in past.events if e.name == "instruction.accepted"),
        support=_support(past),
        sales=past.sales,
    )


def _support(past: Past) -> tuple[SupportSettlement, ...]:
    """Settlement of voltage support over the periods of which all is on record."""
    names = ("asked_var", "tolerance_var", "before_var", "q_var")
    columns = np.stack([past.start_utc_s, *(past.of(f"support.{name}") for name in names)], axis=1)
    known = columns[np.isfinite(columns).all(axis=1)]
    return settle_support([replace(Asked(*row), lasts_s=past.period_s) for row in known.tolist()])


def _bindings(limit: str, past: Past) -> list[Binding]:
    used = past.most(f"limit.{limit}.loading_frac")
    places = np.flatnonzero(used >= BINDS_FRAC)
    if not len(places):
        return []
    starts = past.start_utc_s[places]
    runs = np.split(places, np.flatnonzero(np.diff(starts) > JOIN_S) + 1)
    return [_binding(limit, past, used[run], past.start_utc_s[run]) for run in runs]


def _binding(limit: str, past: Past, used: Array, starts: Array) -> Binding:
    over_s = float((used > OVER_FRAC).sum()) * past.period_s
    return Binding(limit, float(starts[0]), float(starts[-1]) + past.period_s, float(used.max()), over_s)


def _energy_wh(past: Past, unit: str) -> float:
    return float(np.nansum(past.of(f"unit.{unit}.p_w"))) * past.hours


def _use(unit: Unit, past: Past) -> Use:
    p_w = np.nan_to_num(past.of(f"unit.{unit.id}.p_w"))
    taken_wh, given_wh = (float(np.maximum(sign * p_w, 0.0).sum()) * past.hours for sign in (1.0, -1.0))
    moved_wh = taken_wh + given_wh if unit.kind is UnitKind.BATTERY else 0.0
    cost_eur = moved_wh / W_PER_MW * unit.price_eur_per_mwh
    return Use(unit.id, unit.kind.value, taken_wh, given_wh, float(p_w.max(initial=0.0)), cost_eur)


def _given_up(site: Site, past: Past) -> tuple[GivenUp, ...]:
    prices = {unit.id: unit.price_eur_per_mwh for unit in site.units}
    sums: dict[tuple[str, str, str, int, bool], list[float]] = {}
    for row in past.ledger:
        energy_wh = float(row["energy_wh"])
        if energy_wh < NOTHING_WH:
            continue
        estimated = row.get("basis") == ESTIMATED
        key = (row["unit"], _cause(row["cause"]), row["principle"], int(row["rank"]), estimated)
        had = sums.setdefault(key, [0.0, 0.0, 0.0])
        had[0] += energy_wh
        had[1] = max(had[1], float(row["most_w"]))
        had[2] += float(row["lasted_s"])
    found = (
        GivenUp(unit, cause, principle, rank, wh, w, s, wh / W_PER_MW * prices.get(unit, 0.0), estimated)
        for (unit, cause, principle, rank, estimated), (wh, w, s) in sums.items()
    )
    return tuple(sorted(found, key=lambda g: -g.energy_wh))


def _cause(cause: str) -> str:
    """A limit by its id; orders and instructions, of which each has an id of its own, by who gave them."""
    issuer, colon, _ = cause.partition(":")
    return f"orders ({issuer})" if colon else cause


def _what_if(site: Site, past: Past) -> WhatIf | None:
    limit = next((x for x in site.limits if x.kind is LimitKind.EXPORT), None)
    if limit is None:
        return None
    generators = [unit for unit in site.units if unit.kind.generates]
    held_w = _columns(past, generators, "curtailed_w")
    could_w = np.maximum(-_columns(past, generators, "p_w"), 0.0) + np.nan_to_num(held_w)
    stored_w = _sum(past, [unit for unit in site.units if unit.kind is UnitKind.BATTERY])
    demand_w = _sum(past, [unit for unit in site.units if unit.kind.consumes])
    export_w = past.of(f"limit.{limit.id}.value") + np.nan_to_num(held_w).sum(axis=1)

    def trimmed_wh(away_w: Array) -> Array:
        trimmed_w = lifo_trim(generators, could_w, away_w, export_w, limit.high, past.period_s)
        out: Array = trimmed_w.sum(axis=0) * past.hours
        return out

    each_wh = trimmed_wh(stored_w).tolist()
    return WhatIf(
        limit_w=limit.high,
        by_unit_wh=tuple((unit.id, wh) for unit, wh in zip(generators, each_wh, strict=True)),
        cost_eur=math.fsum(wh / W_PER_MW * u.price_eur_per_mwh for u, wh in zip(generators, each_wh, strict=True)),
        no_demand_wh=float(trimmed_wh(stored_w + demand_w).sum()),
    )


def _sum(past: Past, units: Sequence[Unit]) -> Array:
    """Power of several units together, W (load convention); zeros for none."""
    return _columns(past, units, "p_w").sum(axis=1) if units else np.zeros(len(past.start_utc_s))


def _columns(past: Past, units: Sequence[Unit], field: str) -> Array:
    return np.stack([past.of(f"unit.{unit.id}.{field}") for unit in units], axis=1)
