"""Bids in parts: every choice enumerated by hand, from the words of the file form and none of the solver's code."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.planning.acceptance import Acceptance, accept_bids
from controller.planning.bid_document import read_problems
from controller.planning.rejection import rejection_reasons

Array = NDArray[np.float64]
Given = dict[str, Any]


def instance(seed: int) -> Given:
    """A few bids, at most three of them divisible, from a village's powers to a city's."""
    draw = random.Random(seed)
    constraints, periods = draw.randint(1, 3), draw.randint(1, 4)
    w = draw.choice([1e3, 1e4, 1e5, 1e6, 5e7])
    needs = [[draw.choice([0.0, 1.0, 1.0]) * w * draw.uniform(0.1, 3.0) for _ in range(periods)] for _ in range(3)]
    spares = [[w * draw.choice([0.0, draw.random()]) for _ in range(periods)] for _ in range(3)]

    def offer(number: int) -> Given:
        start = draw.randrange(periods)
        return {
            "id": f"b{number}",
            "asset": f"a{draw.randrange(4)}",
            "group": draw.choice([None, None, "g"]),
            "start": start,
            "end": draw.randint(start + 1, periods),
            "power_w": w * draw.choice([0.0, *(draw.uniform(0.05, 2.0) for _ in range(9))]),
            "price_eur_per_mwh": draw.choice([0.0, 80.0, draw.uniform(1.0, 150.0), draw.uniform(-50.0, 50.0)]),
            "divisible": number < 3 and draw.random() < 0.7,
            "activation_eur": draw.choice([0.0, 5.0, draw.random() * w / 3e4]),
            "sensitivity": [draw.choice([0.0, 1.0, -0.25, draw.uniform(-1.0, 1.0)]) for _ in range(constraints)],
        }

    return {
        "period_s": draw.choice([300.0, 900.0, 3600.0]),
        "need_w": needs[:constraints],
        "spare_w": spares[:constraints],
        "shortfall_eur_per_mwh": draw.choice([0.0, 100.0, 400.0, 3000.0]),
        "bids": [offer(number) for number in range(draw.randint(1, 7))],
    }


def excluded(one: Given, other: Given) -> bool:
    together = one["start"] < other["end"] and other["start"] < one["end"]
    return (one["group"] is not None and one["group"] == other["group"]) or (
        one["asset"] == other["asset"] and together
    )


def relief_w(given: Given, bid: Given) -> Array:
    """Of all of it, constraints by periods, flattened."""
    on = np.zeros(np.shape(given["need_w"])[1])
    on[bid["start"] : bid["end"]] = bid["power_w"]
    return np.outer(bid["sensitivity"], on).ravel()


def energy_eur(given: Given, bid: Given) -> float:
    hours = (bid["end"] - bid["start"]) * given["period_s"] / 3600.0
    return float(bid["price_eur_per_mwh"] * bid["power_w"] / 1e6 * hours)


def cost_eur(given: Given, taken: list[Given], fractions: Array) -> Array:
    """Of many choices at once, a row of ``fractions`` each."""
    need_w, spare_w = np.ravel(given["need_w"]), np.ravel(given["spare_w"])
    reliefs_w = np.array([relief_w(given, bid) for bid in taken]).reshape(len(taken), need_w.size)
    open_w = np.maximum(0.0, need_w - np.where(need_w > 0.0, 0.0, spare_w) - fractions @ reliefs_w).sum(axis=1)
    bought = fractions @ np.array([energy_eur(given, bid) for bid in taken]) + sum(b["activation_eur"] for b in taken)
    return np.asarray(bought + open_w / 1e6 * given["period_s"] / 3600.0 * given["shortfall_eur_per_mwh"])


def corners(given: Given, taken: list[Given]) -> Array:
    """Where a convex cost that bends at planes can be least: in the corners between them."""
    parts = [i for i, bid in enumerate(taken) if bid["divisible"]]
    whole_w = sum((relief_w(given, bid) for bid in taken if not bid["divisible"]), np.zeros(np.size(given["need_w"])))
    need_w, spare_w = np.ravel(given["need_w"]), np.ravel(given["spare_w"])
    room_w = np.where(need_w > 0.0, -need_w, spare_w) + whole_w
    slopes = np.array([relief_w(given, taken[i]) for i in parts]).reshape(len(parts), room_w.size).T
    bends = [(row / s, -w / s) for row, w in zip(slopes, room_w, strict=True) if (s := np.abs(row).max(initial=0.0))]
    planes = [(axis, at) for axis in np.eye(len(parts)) for at in (0.0, 1.0)] + bends
    found = [np.ones(len(taken))] if not parts else []
    for chosen in itertools.combinations(planes, len(parts)) if parts else ():
        matrix = np.array([normal for normal, _ in chosen])
        if abs(np.linalg.det(matrix)) > 1e-9:
            corner = np.ones(len(taken))
            corner[parts] = np.linalg.solve(matrix, np.array([at for _, at in chosen]))
            found.append(corner)
    rows = np.array([corner for corner in found if np.all((corner > -1e-9) & (corner < 1.0 + 1e-9))])
    return np.clip(rows, 0.0, 1.0)


def least_eur(given: Given) -> float:
    allowed = (
        list(taken)
        for size in range(len(given["bids"]) + 1)
        for taken in itertools.combinations(given["bids"], size)
        if not any(excluded(one, other) for one, other in itertools.combinations(taken, 2))
    )
    return min(float(cost_eur(given, taken, corners(given, taken)).min()) for taken in allowed)


@pytest.mark.parametrize("seed", range(60))
def test_no_choice_of_whole_bids_and_parts_is_cheaper(seed: int) -> None:
    given = instance(seed)
    [problem] = read_problems(given)
    found = accept_bids(problem)
    assert found.total_eur == pytest.approx(least_eur(given), rel=1e-7, abs=1e-5)
    assert (found.proven, found.gap_eur) == (True, 0.0)
    reasons = rejection_reasons(problem, found)
    assert set(reasons) == {bid["id"] for bid in given["bids"]} - set(found.accepted)
    assert not [text for text in reasons.values() if text.startswith("not found")]


def bid(*values: Any) -> Given:
    """Of one period."""
    keys = ("id", "asset", "group", "power_w", "price_eur_per_mwh", "divisible", "activation_eur", "sensitivity")
    return dict(zip(keys, values, strict=True)) | {"start": 0, "end": 1}


def one_bid(price_eur_per_mwh: float, activation_eur: float, sensitivity: list[float]) -> Given:
    """An hour in which 120 kW are needed, offered by one bid at 100 EUR/MWh of shortfall."""
    only = bid("b", "a", None, 1.2e5, price_eur_per_mwh, True, activation_eur, sensitivity)
    need_w, spare_w = [[1.2e5], [0.0]], [[0.0], [1.0]]
    terms = {"period_s": 3600.0, "need_w": need_w, "spare_w": spare_w, "shortfall_eur_per_mwh": 100.0}
    return {**terms, "bids": [only]}


def test_a_crumb_that_is_the_solvers_rounding_is_not_taken_for_a_bid_and_its_activation() -> None:
    """1.2e-7 of b3 once cost an activation: a yes that the solver takes for a no."""
    crumb = {
        "period_s": 300.0,
        "need_w": [[124677.95830492738], [1486773.0740152781]],
        "spare_w": [[0.0], [21144.237658966336]],
        "shortfall_eur_per_mwh": 100.0,
        "bids": [
            bid("b0", "a0", "g1", 819801.8197570117, 27.157672903223123, False, 15.0, [0.0, 0.7830136489740163]),
            bid("b1", "a2", None, 1122466.1395134025, 80.0, False, 5.0, [0.0, 0.0]),
            bid(
                *("b2", "a1", "g1", 1256401.4120991582, -29.232463759797522, True, 17.926532417722864),
                [-0.10147867695605495, 0.712189537881805],
            ),
            bid("b3", "a0", None, 1355639.5867526706, 80.0, True, 9.833626414189663, [0.7643237950538466, 1.0]),
        ],
    }
    [problem] = read_problems(crumb)
    found = accept_bids(problem)
    assert found.accepted == {}
    assert found.total_eur == pytest.approx(least_eur(crumb))


def test_a_search_that_ends_before_it_has_found_anything_takes_nothing_and_says_so() -> None:
    [problem] = read_problems(instance(1))
    found = accept_bids(problem, time_limit_s=1e-9)
    assert (found.accepted, found.proven, found.gap_eur) == ({}, False, np.inf)


def test_a_choice_that_is_not_proven_gives_no_reason_that_is_untrue() -> None:
    [problem] = read_problems(one_bid(10.0, 0.0, [1.0, 0.0]))
    nothing = Acceptance({}, 12.0, proven=False, gap_eur=12.0)
    assert rejection_reasons(problem, nothing) == {"b": "not found in time: taking it would cost 10.80 EUR less"}


def test_a_bid_that_relieves_one_constraint_by_as_much_as_it_harms_another_is_refused_for_the_harm() -> None:
    """Its best part is a crumb, which relieves less than a cent; that does not make it one that nobody needs."""
    [problem] = read_problems(one_bid(0.0, 1.0, [1.0, -1.001]))
    reason = rejection_reasons(problem, accept_bids(problem))["b"]
    assert reason.startswith("makes constraint 1 worse: relieves 12.00 EUR of shortfall for 1.00 EUR")
