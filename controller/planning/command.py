"""``gridedge bids``: choose among flexibility offers that are listed in a file."""

from __future__ import annotations

import json
import math
from typing import Any, TextIO

import click

from controller import documents
from controller.planning.acceptance import TIME_LIMIT_S, accept_bids
from controller.planning.bid_document import read_problems
from controller.planning.bids import BidProblem
from controller.planning.rejection import rejection_reasons


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option(
    "--time-limit-s",
    type=click.FloatRange(min=0.0, min_open=True),
    default=TIME_LIMIT_S,
    show_default=True,
    help="Longest search per instance; a choice found by then is given with proven: false.",
)
def bids(file: TextIO, time_limit_s: float) -> None:
    """Choose the cheapest set of offers against the shortages in FILE (JSON, - reads standard input).

    Prints, per instance: accepted fractions, total cost, whether it is proven least, by how much the least can be
    lower than that (gap_eur; null when nobody knows), and why each other offer was not taken.
    """
    try:
        problems = read_problems(documents.parse(file.read()))
    except ValueError as error:
        raise click.ClickException(f"{file.name}: {error}") from error
    click.echo(json.dumps([_answer(problem, time_limit_s) for problem in problems], indent=1))


def _answer(problem: BidProblem, time_limit_s: float) -> dict[str, Any]:
    acceptance = accept_bids(problem, time_limit_s)
    return {
        "id": problem.id,
        "accepted": {bid_id: round(fraction, 9) for bid_id, fraction in acceptance.accepted.items()},
        "total_eur": round(acceptance.total_eur, 6),
        "proven": acceptance.proven,
        "gap_eur": round(acceptance.gap_eur, 6) if math.isfinite(acceptance.gap_eur) else None,
        "rejected": rejection_reasons(problem, acceptance),
    }
