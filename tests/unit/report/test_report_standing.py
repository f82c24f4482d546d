"""Renewed orders are one line of the page, from the first word to the end that came true."""

from __future__ import annotations

from controller.report.standing import Standing, standing

LIMIT = "limit BAT1 by flexibility:market"


def said(what: str, lasts_s: float, why: str) -> str:
    return f"{what} for {lasts_s:.0f} s: {why}"


def test_renewals_of_one_order_are_one_line_however_its_options_were_named() -> None:
    found = standing([
        (0.0, said(LIMIT, 900.0, "market order of aeffa89e-BAT1-night+e1b68132-BAT1-night")),
        (300.0, said(LIMIT, 600.0, "market order of aeffa89e-BAT1-night")),
        (605.0, said(LIMIT, 900.0, "market order of 6b8b0001-BAT1-night")),
    ])  # fmt: skip
    assert found == [Standing(0.0, 1505.0, f"{LIMIT}: market order of BAT1-night", 2)]
    assert found[0].words.endswith("BAT1-night, renewed 2 times")


def test_an_order_ends_with_its_release_or_with_the_next_one() -> None:
    release = said("release BAT1 by flexibility:market", 60.0, "aeffa89e-BAT1-night is over")
    first = (0.0, said(LIMIT, 900.0, "market order of aeffa89e-BAT1-night"))
    ended = [Standing(0.0, 400.0, f"{LIMIT}: market order of BAT1-night")]
    assert standing([first, (400.0, release)]) == ended
    other = (400.0, said(LIMIT, 300.0, "market order of aeffa89e-BAT1-noon"))
    assert standing([first, other]) == [*ended, Standing(400.0, 700.0, f"{LIMIT}: market order of BAT1-noon")]


def test_orders_of_two_desks_for_one_unit_and_a_later_one_of_the_same_are_lines_of_their_own() -> None:
    own = "override BAT1 by flexibility:dso"
    found = standing([
        (0.0, said(LIMIT, 300.0, "market order of aeffa89e-BAT1-night")),
        (100.0, said(own, 300.0, "set point of event-5")),
        (900.0, said(LIMIT, 300.0, "market order of aeffa89e-BAT1-night")),
    ])  # fmt: skip
    assert [(line.from_utc_s, line.to_utc_s, line.renewed) for line in found] == [
        (0.0, 300.0, 0), (100.0, 400.0, 0), (900.0, 1200.0, 0),
    ]  # fmt: skip
    assert found[1].words == f"{own}: set point of event-5"


def test_what_cannot_be_read_is_told_word_for_word() -> None:
    assert standing([(5.0, "something else")]) == [Standing(5.0, 5.0, "something else")]
