"""While the state file cannot be written, an operator may narrow but not widen: a restart would undo it unseen."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.override import Book, receive
from controller.domain.instruction import Action, Instruction
from controller.domain.owner import Owner
from controller.domain.record import Event
from controller.domain.snapshot import Snapshot

UTC_S = 1.8e9
SITE = kit.site()
FULL = "[Errno 28] No space left on device"
LIMIT = Instruction("i1", "ann", 7, UTC_S, 600.0, Action.LIMIT, "export", 4e6, reason="outage")
BLOCK = Instruction("i2", "ann", 8, UTC_S, 600.0, Action.BLOCK, "WIND", reason="people at work")


def said(book: Book, asked: Instruction) -> tuple[Book, Event]:
    """The book afterwards, and the answer."""
    received = receive(SITE, book, Snapshot(0.0, {}, UTC_S, instructions=(asked,)), np.zeros(4))
    (answer,) = (e for e in received.events if e.name in ("instruction.accepted", "instruction.refused"))
    return received.book, answer


def standing(*all_asked: Instruction) -> Book:
    """What was accepted while the disk was well."""
    book = Book()
    for asked in all_asked:
        book, answer = said(book, asked)
        assert answer.name == "instruction.accepted"
    return book


NARROWS = [
    replace(LIMIT, id="n", counter=9, value=3e6),
    replace(LIMIT, id="n", counter=9, lasts_s=900.0),
    replace(LIMIT, id="n", counter=9, subject="import"),
    replace(BLOCK, id="n", counter=9),
    replace(BLOCK, id="n", counter=9, action=Action.HOLD),
    replace(BLOCK, id="n", counter=9, action=Action.OVERRIDE, value=-1e6),
]
WIDENS = [
    replace(LIMIT, id="n", counter=9, value=4.1e6),
    replace(LIMIT, id="n", counter=9, lasts_s=599.0),
    replace(BLOCK, id="n", counter=9, lasts_s=10.0),
    replace(BLOCK, id="n", counter=9, action=Action.RELEASE),
    replace(BLOCK, id="n", counter=9, action=Action.RELEASE, subject="all"),
    replace(BLOCK, id="n", counter=9, action=Action.RESET_TRIPS),
]


@pytest.mark.parametrize("asked", NARROWS)
def test_what_narrows_is_accepted_also_when_it_cannot_be_kept(asked: Instruction) -> None:
    book, answer = said(standing(LIMIT, BLOCK), replace(asked, unkept=FULL))
    assert answer.name == "instruction.accepted"
    assert asked.id in {s.instruction.id for s in book.standing}


@pytest.mark.parametrize("asked", WIDENS)
def test_what_widens_is_refused_with_the_reason_and_changes_nothing(asked: Instruction) -> None:
    before = standing(LIMIT, BLOCK)
    book, answer = said(before, replace(asked, unkept=FULL))
    assert answer.name == "instruction.refused"
    assert FULL in answer.text
    assert "state.unwritten" in answer.text
    assert repr(book) == repr(before)


@pytest.mark.parametrize("asked", WIDENS)
def test_the_same_is_accepted_as_soon_as_it_can_be_kept(asked: Instruction) -> None:
    assert said(standing(LIMIT, BLOCK), asked)[1].name == "instruction.accepted"


def test_a_desk_of_the_platform_says_its_words_again_after_a_restart_and_may_end_them() -> None:
    site = Owner.FLEXIBILITY
    asked = replace(LIMIT, owner=site, action=Action.RELEASE, value=math.nan, unkept=FULL)
    _, answer = said(Book(), asked)
    assert "not kept" not in answer.text
