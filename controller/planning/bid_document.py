"""Bid problems as a JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from controller.documents import DocumentError, between, in_range, items, number, numbers, shown, text
from controller.planning.bids import Bid, BidProblem, Grid

POWER_W_MAX = 1e12
PRICE_EUR_PER_MWH_MAX = 1e6
EUR_MAX = 1e9
PERIOD_S_MAX = 1e7
SENSITIVITY_MAX = 1e3


def read_problems(document: Any) -> list[BidProblem]:
    """The problems of a list of instances (or of a single one). Raises ``DocumentError`` naming what is wrong."""
    instances = [document] if isinstance(document, Mapping) else document
    if not isinstance(instances, list):
        raise DocumentError(f"expected a list of instances, found {type(document).__name__}")
    return [_problem(instance, f"[{i}].") for i, instance in enumerate(instances)]


def _problem(given: Any, where: str) -> BidProblem:
    if not isinstance(given, Mapping):
        raise DocumentError(f"{where[:-1]} is {shown(given)}; expected an object")
    need_w, spare_w = _grid(given, "need_w", where), _grid(given, "spare_w", where)
    if need_w.shape != spare_w.shape:
        raise DocumentError(f"{where}spare_w is {spare_w.shape}; expected {need_w.shape}, the shape of need_w")
    _check_size(given, where, *need_w.shape)
    period_s = between(given, "period_s", 1.0, PERIOD_S_MAX, where)
    bids = given.get("bids")
    if not isinstance(bids, list):
        raise DocumentError(f"{where}bids is {shown(bids)}; expected a list")
    offers = tuple(_bid(bid, f"{where}bids[{i}].", *need_w.shape) for i, bid in enumerate(bids))
    twice, times = Counter(bid.id for bid in offers).most_common(1)[0] if offers else ("", 0)
    if times > 1:
        raise DocumentError(f"{where}bids have an id twice: {shown(twice)}; expected each once")
    shortfall_eur_per_mwh = between(given, "shortfall_eur_per_mwh", 0.0, PRICE_EUR_PER_MWH_MAX, where)
    return BidProblem(str(given.get("id", where)), period_s, need_w, spare_w, shortfall_eur_per_mwh, offers)


def _grid(given: Mapping[str, Any], key: str, where: str) -> Grid:
    rows = [numbers({"row": row}, "row", f"{where}{key}[{c}].") for c, row in enumerate(items(given, key, where))]
    if len({len(row) for row in rows}) != 1:
        raise DocumentError(f"{where}{key} has rows of different length")
    grid = np.array(rows)
    for c, k in np.argwhere((grid < 0.0) | (grid > POWER_W_MAX))[:1]:
        raise DocumentError(f"{where}{key}[{c}][{k}] is {grid[c, k]:g}; expected 0…{POWER_W_MAX:g} W")
    return grid


def _check_size(given: Mapping[str, Any], where: str, constraints: int, periods: int) -> None:
    """What a file says of its own size, if it does, has to be true."""
    for key, size in (("constraints", constraints), ("periods", periods)):
        if key in given and number(given, key, where) != size:
            raise DocumentError(f"{where}{key} is {shown(given[key])}; expected {size}, the size of need_w")


def _bid(given: Any, where: str, constraints: int, periods: int) -> Bid:
    if not isinstance(given, Mapping):
        raise DocumentError(f"{where[:-1]} is {shown(given)}; expected an object")
    start, end = number(given, "start", where), number(given, "end", where)
    if not (start.is_integer() and end.is_integer() and 0 <= start < end <= periods):
        raise DocumentError(f"{where}start and end are {start} and {end}; expected 0 <= start < end <= {periods}")
    sensitivity_pu = numbers(given, "sensitivity", where)
    if len(sensitivity_pu) != constraints:
        raise DocumentError(f"{where}sensitivity has {len(sensitivity_pu)} values; expected {constraints}")
    for c, relief_pu in enumerate(sensitivity_pu):
        in_range(relief_pu, f"{where}sensitivity[{c}]", -SENSITIVITY_MAX, SENSITIVITY_MAX)
    if not isinstance(given.get("divisible"), bool):
        raise DocumentError(f"{where}divisible is {shown(given.get('divisible'))}; expected true or false")
    return Bid(
        id=text(given, "id", where),
        asset=text(given, "asset", where),
        group=None if given.get("group") is None else text(given, "group", where),
        start=int(start),
        end=int(end),
        power_w=between(given, "power_w", 0.0, POWER_W_MAX, where),
        price_eur_per_mwh=between(given, "price_eur_per_mwh", -PRICE_EUR_PER_MWH_MAX, PRICE_EUR_PER_MWH_MAX, where),
        activation_eur=between(given, "activation_eur", 0.0, EUR_MAX, where),
        divisible=given["divisible"],
        sensitivity_pu=sensitivity_pu,
    )
