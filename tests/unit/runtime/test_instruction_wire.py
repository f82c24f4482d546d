"""Instructions as lines: strict reading, exact writing, and answers that reach the right peer."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.instruction import Action, Instruction
from controller.domain.record import Event
from controller.runtime.instruction_desk import WAITING_MAX, InstructionDesk
from controller.runtime.instruction_wire import read_instruction, write_answer, write_instruction

GOOD = {"id": "a", "counter": 1, "action": "limit", "subject": "export", "value": 4e6, "for_s": 900, "reason": "works"}

BAD = [
    (b"", "Expecting value"),
    (b"[]", "expected an object"),
    (b"7", "expected an object"),
    (b"[" * 100_000, "nested too deep"),
    (b"{\xff", "decode"),
    (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "BOM"),
    (json.dumps(GOOD).encode("utf-16"), "decode"),
    (b'{"id": "a", "id": "b"}', "stands twice"),
    (json.dumps(GOOD | {"issuer": "root"}).encode(), "unknown ['issuer']"),
    (json.dumps({k: v for k, v in GOOD.items() if k != "reason"}).encode(), "missing ['reason']"),
    (json.dumps(GOOD | {"value": math.nan}).encode(), "value is nan; expected a finite number"),
    (json.dumps(GOOD).replace("4000000.0", "1e999").encode(), "finite"),
    (json.dumps(GOOD | {"value": "4e6"}).encode(), "finite number"),
    (json.dumps(GOOD | {"value": True}).encode(), "finite number"),
    (json.dumps(GOOD | {"value": None}).encode(), "finite number"),
    (json.dumps(GOOD | {"for_s": "900"}).encode(), "finite number"),
    (json.dumps(GOOD | {"counter": 1.5}).encode(), "whole number"),
    (json.dumps(GOOD | {"counter": -1}).encode(), "whole number"),
    (json.dumps(GOOD | {"counter": True}).encode(), "whole number"),
    (json.dumps(GOOD | {"counter": 1 << 63}).encode(), "whole number"),
    (json.dumps(GOOD | {"action": "trip"}).encode(), "expected one of limit"),
    (json.dumps(GOOD | {"reason": "  "}).encode(), "printable"),
    (json.dumps(GOOD | {"reason": "\x1b[2J"}).encode(), "printable"),
    (json.dumps(GOOD | {"id": "x" * 201}).encode(), "printable"),
    (json.dumps(GOOD | {"subject": 7}).encode(), "expected text"),
]


@pytest.mark.parametrize(("line", "why"), BAD)
def test_a_line_that_is_not_exactly_an_instruction_is_refused(line: bytes, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_instruction(line, "ann", 0.0)
    assert why in str(caught.value)


def test_who_asks_and_when_comes_from_the_receiver() -> None:
    found = read_instruction(json.dumps(GOOD).encode(), "ann", 1.8e9)
    assert (found.issuer, found.issued_utc_s, found.lasts_s, found.value) == ("ann", 1.8e9, 900.0, 4e6)
    assert read_instruction(json.dumps(GOOD | {"issued_utc_s": 5.0}).encode(), "ann", 1.8e9).issued_utc_s == 5.0


texts = st.text("abcXYZ ü_-.", min_size=1, max_size=30).filter(lambda t: bool(t.strip()))
numbers = st.floats(allow_nan=False, allow_infinity=False)
instructions = st.builds(
    Instruction,
    texts,
    st.just("ann"),
    st.integers(0, 2**62),
    st.just(1.8e9),
    numbers,
    st.sampled_from(Action),
    texts,
    numbers | st.just(math.nan),
    st.none() | numbers,
    texts,
)


@given(instructions)
def test_what_is_written_is_read_back_to_the_last_bit(asked: Instruction) -> None:
    assert repr(read_instruction(write_instruction(asked), "ann", 1.8e9)) == repr(asked)


@given(st.binary(max_size=200))
def test_whatever_comes_is_an_instruction_or_a_refusal(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_instruction(line, "ann", 0.0)


def asked(name: str) -> Instruction:
    return Instruction(name, "ann", 1, 0.0, 60.0, Action.BLOCK, "PV", reason="x")


def test_each_peer_gets_its_own_answer_in_the_order_of_asking() -> None:
    desk, heard = InstructionDesk(), []
    for k, name in enumerate(("a", "b", "a")):
        desk.submit(asked(name), lambda ok, text, k=k: heard.append((k, ok, text)))
    assert [i.id for i in desk.take()] == ["a", "b", "a"]
    assert desk.take() == ()
    desk.settle(
        [
            Event("instruction.accepted", "a", "one"),
            Event("instruction.released", "b", "no answer"),
            Event("g100.reset", "b", "two"),
            Event("instruction.refused", "a", "three"),
        ]
    )
    assert heard == [(0, True, "one"), (1, True, "two"), (2, False, "three")]


def test_nobody_waits_for_ever() -> None:
    desk, heard = InstructionDesk(), []
    desk.submit(asked("a"), lambda ok, text: heard.append((ok, text)))
    desk.take()
    desk.settle([])
    assert heard == [(False, "the controller gave no answer; look at its events")]


def test_a_flood_is_turned_away_at_once() -> None:
    desk, heard = InstructionDesk(), []
    for _ in range(WAITING_MAX + 3):
        desk.submit(asked("a"), lambda *said: heard.append(said[0]))
    assert heard == [False] * 3
    assert len(desk.take()) == WAITING_MAX


def test_an_answer_is_one_line() -> None:
    assert json.loads(write_answer("a", False, "no\nway")) == {"id": "a", "accepted": False, "text": "no\nway"}
    assert write_answer("a", True, "no\nway").count(b"\n") == 1
