"""What was offered to the national market, activated, delivered and earned, for a report; reads beside the station."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.balancing.national.activation import Activation, Sold, read_activation, read_sold
from controller.balancing.national.memory import FILE, FOLDER, TAKEN, Asked, Offered, read_all
from controller.balancing.national.settling import load_plan
from controller.balancing.openadr.strict_json import Malformed
from controller.durable import naming, open_read_only
from controller.planning.settlement import HOUR_S


@dataclass(frozen=True, slots=True)
class Activated:
    """One activation: from when to when, what was asked for and taken of it, and what came of it.

    Energies are magnitudes in Wh in the ``direction`` (up or down) that was asked for, money EUR: ``earned_eur`` is
    what delivery earned less what the deficiency cost. Before it is settled what was delivered is None.
    """

    id: str
    from_utc_s: float
    until_utc_s: float
    direction: str
    asked_wh: float
    taken_wh: float
    delivered_wh: float | None
    deficiency_wh: float | None
    earned_eur: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Sale:
    """One bid, what became of it, and what was activated of it."""

    bid: Sold
    fate: str
    reason: str
    activations: tuple[Activated, ...]

    @property
    def earned_eur(self) -> float:
        """By all that is settled."""
        return math.fsum(one.earned_eur for one in self.activations if one.earned_eur is not None)


def read_sales(data: Path, from_utc_s: float, until_utc_s: float) -> tuple[Sale, ...]:
    """Bids that were made or whose window lies in the span; none where a station never offered any.

    Raises sqlite3.Error for a file that cannot be read, ValueError for one that no station wrote.
    """
    path = data / FOLDER / FILE
    if not path.is_file():
        return ()
    with naming(path), closing(open_read_only(path)) as db:
        found = read_all(db)
    try:
        sales = [(float(offered.made_utc_s), _sale(offered, asked)) for offered, asked in found]
    except (KeyError, IndexError, TypeError, AttributeError, ArithmeticError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} holds what no station writes ({what}); expected bids and activations") from error
    return tuple(
        sale
        for made_utc_s, sale in sales
        if from_utc_s <= made_utc_s < until_utc_s
        or (sale.bid.from_utc_s < until_utc_s and from_utc_s < sale.bid.until_utc_s)
    )


def _sale(offered: Offered, asked: list[Asked]) -> Sale:
    readable = [(one, read) for one in asked if (read := _read(one)) is not None]
    activations = tuple(_activated(*one) for one in readable)
    return Sale(read_sold(offered.document), offered.fate or "waiting", offered.reason, activations)


def _read(asked: Asked) -> Activation | None:
    """What was asked for; None where that could not be read, and was refused for it."""
    try:
        return read_activation(json.loads(asked.document))
    except Malformed:
        return None


def _activated(asked: Asked, activation: Activation) -> Activated:
    hours = [(period.until_utc_s - period.from_utc_s) / HOUR_S for period in activation.periods]
    changes_w = [period.change_w for period in activation.periods]
    taken_w = load_plan(asked.plan).taken_w if asked.fate == TAKEN else (0.0,) * len(hours)
    settled = json.loads(asked.settlement) if asked.settlement else None
    delivered, missing = (None if settled is None else _wh(settled, key) for key in ("delivered_w", "deficiency_w"))
    return Activated(
        id=asked.id,
        from_utc_s=activation.begins_utc_s,
        until_utc_s=activation.ends_utc_s,
        direction="up" if changes_w[0] < 0.0 else "down",
        asked_wh=_energy_wh(changes_w, hours),
        taken_wh=_energy_wh(taken_w, hours),
        delivered_wh=delivered,
        deficiency_wh=missing,
        earned_eur=None if settled is None else settled["paid_eur"] - settled["penalty_eur"],
        reason=asked.reason,
    )


def _energy_wh(powers_w: Sequence[float], hours: Sequence[float]) -> float:
    return math.fsum(abs(w) * h for w, h in zip(powers_w, hours, strict=True))


def _wh(settled: Mapping[str, Any], key: str) -> float:
    lasts = [(p["until_utc_s"] - p["from_utc_s"]) / HOUR_S for p in settled["periods"]]
    return _energy_wh([p[key] for p in settled["periods"]], lasts)
