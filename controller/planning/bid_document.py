"""Bid problems as a JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from controller.documents import DocumentError, items, number, numbers, text
from controller.planning.bids import Bid, BidProblem, Grid


def read_problems(document: Any) -> list[BidProblem]:
    """The problems of a list of instances (or of a single one). Raises ``DocumentError`` naming what is wrong."""
    instances = [document] if isinstance(document, Mapping) else document
    if not isinstance(instances, list):
        raise DocumentError(f"expected a list of instances, found {type(document).__name__}")
    return [_problem(instance, f"[{i}].") for i, instance in enumerate(instances)]


def _problem(given: Any, where: str) -> BidProblem:
    if not isinstance(given, Mapping):
        raise DocumentError(f"{where[:-1]} is {given!r}; expected an object")
    need_w, spare_w = _grid(given, "need_w", where), _grid(given, "spare_w", where)
    if need_w.shape != spare_w.shape:
        raise DocumentError(f"{where}spare_w is {spare_w.shape}; expected {need_w.shape}, the shape of need_w")
    period_s = number(given, "period_s", where)
    if period_s <= 0.0:
        raise DocumentError(f"{where}period_s is {period_s}; expected above 0")
    bids = given.get("bids")
    if not isinstance(bids, list):
        raise DocumentError(f"{where}bids is {bids!r}; expected a list")
    offers = tuple(_bid(bid, f"{where}bids[{i}].", *need_w.shape) for i, bid in enumerate(bids))
    if len({bid.id for bid in offers}) < len(offers):
        raise DocumentError(f"{where}bids have an id twice")
    shortfall_eur_per_mwh = number(given, "shortfall_eur_per_mwh", where)
    if shortfall_eur_per_mwh < 0.0:
        raise DocumentError(f"{where}shortfall_eur_per_mwh is {shortfall_eur_per_mwh}; expected at least 0")
    return BidProblem(str(given.get("id", where)), period_s, need_w, spare_w, shortfall_eur_per_mwh, offers)


def _grid(given: Mapping[str, Any], key: str, where: str) -> Grid:
    rows = [numbers({"row": row}, "row", f"{where}{key}[{c}].") for c, row in enumerate(items(given, key, where))]
    if len({len(row) for row in rows}) != 1:
        raise DocumentError(f"{where}{key} has rows of different length")
    grid = np.array(rows)
    if (grid < 0.0).any():
        raise DocumentError(f"{where}{key} has a negative value; expected watts of at least 0")
    return grid


def _bid(given: Any, where: str, constraints: int, periods: int) -> Bid:
    if not isinstance(given, Mapping):
        raise DocumentError(f"{where[:-1]} is {given!r}; expected an object")
    start, end = number(given, "start", where), number(given, "end", where)
    if not (start.is_integer() and end.is_integer() and 0 <= start < end <= periods):
        raise DocumentError(f"{where}start and end are {start} and {end}; expected 0 <= start < end <= {periods}")
    sensitivity_pu = numbers(given, "sensitivity", where)
    if len(sensitivity_pu) != constraints:
        raise DocumentError(f"{where}sensitivity has {len(sensitivity_pu)} values; expected {constraints}")
    if not isinstance(given.get("divisible"), bool):
        raise DocumentError(f"{where}divisible is {given.get('divisible')!r}; expected true or false")
    power_w, activation_eur = number(given, "power_w", where), number(given, "activation_eur", where)
    if power_w < 0.0 or activation_eur < 0.0:
        raise DocumentError(f"{where}power_w and activation_eur are {power_w}, {activation_eur}; expected at least 0")
    return Bid(
        id=text(given, "id", where),
        asset=text(given, "asset", where),
        group=None if given.get("group") is None else text(given, "group", where),
        start=int(start),
        end=int(end),
        power_w=power_w,
        price_eur_per_mwh=number(given, "price_eur_per_mwh", where),
        activation_eur=activation_eur,
        divisible=given["divisible"],
        sensitivity_pu=sensitivity_pu,
    )
