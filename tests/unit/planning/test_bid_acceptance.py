"""Choosing flexibility bids: proven optima, and a true reason for every refusal."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from controller.documents import DocumentError
from controller.planning.acceptance import accept_bids
from controller.planning.bid_document import read_problems
from controller.planning.bids import Bid, BidProblem, conflict, total_eur
from controller.planning.command import bids
from controller.planning.rejection import rejection_reasons

DATA = Path(__file__).parents[2] / "data" / "bids"
INSTANCES: list[dict[str, Any]] = json.loads((DATA / "instances.json").read_text(encoding="utf-8"))
OPTIMA: dict[str, dict[str, Any]] = {
    optimum["id"]: optimum for optimum in json.loads((DATA / "optimum.json").read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda instance: instance["id"])
def test_every_published_instance_is_solved_to_its_proven_optimum(instance: dict[str, Any]) -> None:
    [problem] = read_problems(instance)
    found = accept_bids(problem)
    optimum = OPTIMA[problem.id]
    assert found.proven
    assert found.total_eur == pytest.approx(optimum["optimum_eur"], abs=1e-4)
    assert found.accepted == pytest.approx(optimum["accepted"], abs=1e-5)
    assert total_eur(problem, {}) == pytest.approx(optimum["nothing_eur"], abs=1e-3)


def offer(bid_id: str, **changes: Any) -> Bid:
    """A whole bid of 1 MW for four quarters at 100 EUR/MWh that relieves the first of two constraints."""
    plain = Bid(bid_id, f"asset of {bid_id}", None, 0, 4, 1e6, 100.0, 0.0, False, (1.0, 0.0))
    return replace(plain, **changes)


def shortage(*offers: Bid, need_w: float = 1e6, spare_w: float = 0.0) -> BidProblem:
    """Four quarters of an hour in which the first constraint lacks ``need_w`` and the second has ``spare_w`` left."""
    need = np.array([[need_w] * 4, [0.0] * 4])
    spare = np.array([[0.0] * 4, [spare_w] * 4])
    return BidProblem("P", 900.0, need, spare, 400.0, offers)


def reason(problem: BidProblem, bid_id: str) -> str:
    return rejection_reasons(problem, accept_bids(problem))[bid_id]


def test_the_cheaper_of_two_equal_bids_is_taken() -> None:
    problem = shortage(offer("dear", price_eur_per_mwh=120.0), offer("cheap", price_eur_per_mwh=80.0))
    found = accept_bids(problem)
    assert found.accepted == {"cheap": 1.0}
    assert found.total_eur == pytest.approx(80.0)
    assert reason(problem, "dear") == "not needed: nothing that it relieves stays uncovered in periods 0 to 3"


def test_a_bid_that_costs_more_than_the_shortfall_is_refused_as_too_dear() -> None:
    problem = shortage(offer("gold", price_eur_per_mwh=500.0))
    assert accept_bids(problem).accepted == {}
    assert reason(problem, "gold") == "too dear: would cost 500.00 EUR to relieve 400.00 EUR of shortfall"


def test_an_asset_is_not_sold_twice_at_the_same_time() -> None:
    rivals = (offer("a", asset="EV", price_eur_per_mwh=80.0), offer("b", asset="EV", start=2, price_eur_per_mwh=70.0))
    problem = shortage(*rivals, need_w=2e6)
    assert accept_bids(problem).accepted == {"a": 1.0}
    assert reason(problem, "b") == (
        "conflicts with accepted a (asset EV, periods 2 to 3); taking it instead would cost 155.00 EUR more"
    )


def test_an_asset_may_be_sold_again_later() -> None:
    problem = shortage(offer("early", asset="EV", end=2), offer("late", asset="EV", start=2))
    assert set(accept_bids(problem).accepted) == {"early", "late"}


def test_one_of_a_group_excludes_the_others_at_any_time() -> None:
    problem = shortage(offer("first", group="G", end=2), offer("second", group="G", start=3))
    assert accept_bids(problem).accepted == {"first": 1.0}
    assert reason(problem, "second").startswith("conflicts with accepted first (group G)")


def test_a_bid_that_harms_another_constraint_more_than_it_helps_is_refused_for_that() -> None:
    problem = shortage(offer("harmful", sensitivity_pu=(1.0, -1.0)))
    assert accept_bids(problem).accepted == {}
    assert reason(problem, "harmful").startswith("makes constraint 1 worse")


def test_room_on_the_other_constraint_makes_the_same_bid_welcome() -> None:
    problem = shortage(offer("harmless", sensitivity_pu=(1.0, -1.0)), spare_w=1e6)
    assert accept_bids(problem).accepted == {"harmless": 1.0}


def test_a_bid_that_relieves_nothing_is_refused_for_that() -> None:
    assert reason(shortage(offer("idle", sensitivity_pu=(0.0, 0.0))), "idle") == "relieves no constraint"


def test_a_divisible_bid_is_cut_to_what_is_needed() -> None:
    found = accept_bids(shortage(offer("big", power_w=4e6, divisible=True)))
    assert found.accepted == {"big": pytest.approx(0.25)}


def test_activation_is_paid_once_and_counts_in_the_choice() -> None:
    problem = shortage(offer("fee", activation_eur=301.0), need_w=1e6)
    assert accept_bids(problem).accepted == {}
    assert accept_bids(replace(problem, bids=(offer("fee", activation_eur=299.0),))).accepted == {"fee": 1.0}


def random_problem(seed: int) -> BidProblem:
    """A small problem of whole bids, so that trying every choice is possible."""
    rng = random.Random(seed)
    need = np.array([[rng.choice([0.0, rng.uniform(0.1e6, 3e6)]) for _ in range(6)] for _ in range(2)])
    spare = np.array([[rng.uniform(0.0, 1e6) for _ in range(6)] for _ in range(2)])

    def bid(number: int) -> Bid:
        start = rng.randrange(0, 5)
        return Bid(
            id=f"B{number}",
            asset=rng.choice("XYZ"),
            group=rng.choice([None, "G"]),
            start=start,
            end=rng.randint(start + 1, 6),
            power_w=rng.uniform(0.2e6, 2e6),
            price_eur_per_mwh=rng.uniform(20.0, 450.0),
            activation_eur=rng.choice([0.0, 10.0]),
            divisible=False,
            sensitivity_pu=(rng.uniform(-0.3, 1.0), rng.uniform(-0.3, 1.0)),
        )

    return BidProblem(f"seed {seed}", 900.0, need, spare, 400.0, tuple(bid(number) for number in range(9)))


@pytest.mark.parametrize("seed", range(15))
def test_no_choice_at_all_is_cheaper_than_the_one_found(seed: int) -> None:
    problem = random_problem(seed)
    allowed = (
        chosen
        for size in range(len(problem.bids) + 1)
        for chosen in itertools.combinations(problem.bids, size)
        if not any(conflict(one, other) for one, other in itertools.combinations(chosen, 2))
    )
    cheapest = min(total_eur(problem, {bid.id: 1.0 for bid in chosen}) for chosen in allowed)
    assert accept_bids(problem).total_eur == pytest.approx(cheapest, abs=1e-6)


@pytest.mark.parametrize("seed", range(15))
def test_every_bid_is_either_taken_or_refused_with_a_reason(seed: int) -> None:
    problem = random_problem(seed)
    found = accept_bids(problem)
    reasons = rejection_reasons(problem, found)
    assert set(found.accepted) | set(reasons) == {bid.id for bid in problem.bids}
    assert not set(found.accepted) & set(reasons)
    assert all(reasons.values())


def test_the_command_answers_every_instance_of_a_file() -> None:
    result = CliRunner().invoke(bids, [str(DATA / "instances.json")])
    assert result.exit_code == 0, result.output
    answers = json.loads(result.output)
    assert [answer["id"] for answer in answers] == [instance["id"] for instance in INSTANCES]
    for answer in answers:
        assert answer["total_eur"] == pytest.approx(OPTIMA[answer["id"]]["optimum_eur"], abs=1e-4)
        assert answer["proven"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("end", 99, r"start and end are 2\.0 and 99\.0; expected 0 <= start < end <= 20"),
        ("power_w", -1.0, r"power_w is -1; expected 0…1e\+12"),
        ("power_w", 1e300, r"power_w is 1e\+300; expected 0…1e\+12"),
        ("price_eur_per_mwh", -1e300, r"bids\[0\]\.price_eur_per_mwh is -1e\+300; expected -1e\+06…1e\+06"),
        ("sensitivity", [0.0, 1e9, 0.0], r"sensitivity\[1\] is 1e\+09; expected -1000…1000"),
        ("power_w", float("nan"), "power_w is nan; expected a finite number"),
        ("sensitivity", [1.0], "sensitivity has 1 values; expected 3"),
        ("divisible", "yes", "divisible is 'yes'; expected true or false"),
        ("id", "B1-0", "have an id twice"),
    ],
)
def test_a_wrong_bid_is_refused_with_its_place(key: str, value: Any, expected: str) -> None:
    instance = json.loads(json.dumps(INSTANCES[0]))
    instance["bids"][0].update({"start": 2, "end": 3, key: value})
    with pytest.raises(DocumentError, match=expected):
        read_problems(instance)


def test_a_file_that_is_no_list_of_instances_is_refused() -> None:
    result = CliRunner().invoke(bids, ["-"], input="3")
    assert result.exit_code != 0
    assert "expected a list of instances" in result.output


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"need_w": [[1.0], [1.0, 2.0]]}, "need_w has rows of different length"),
        ({"need_w": [[-1.0]]}, r"need_w\[0\]\[0\] is -1; expected 0…1e\+12 W"),
        ({"constraints": 2}, r"constraints is 2; expected 3, the size of need_w"),
        ({"spare_w": [[1.0]]}, "spare_w is"),
        ({"period_s": 0}, r"period_s is 0; expected 1…1e\+07"),
        ({"shortfall_eur_per_mwh": -1}, r"shortfall_eur_per_mwh is -1; expected 0…1e\+06"),
        ({"bids": None}, "bids is None; expected a list"),
        ({"bids": [7]}, r"bids\[0\] is 7; expected an object"),
    ],
)
def test_a_wrong_instance_is_refused_with_its_place(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(DocumentError, match=expected):
        read_problems([{**INSTANCES[0], **changes}])


def test_without_bids_everything_stays_uncovered_and_nothing_is_refused() -> None:
    found = accept_bids(shortage())
    assert found.accepted == {}
    assert found.total_eur == pytest.approx(400.0)
    assert rejection_reasons(shortage(), found) == {}
    assert accept_bids(shortage(need_w=0.0)).total_eur == 0.0


def test_where_nothing_is_short_nothing_is_bought() -> None:
    problem = shortage(offer("idle"), need_w=0.0)
    assert accept_bids(problem).accepted == {}
    assert reason(problem, "idle").startswith("not needed")
