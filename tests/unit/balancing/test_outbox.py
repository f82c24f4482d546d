"""Messages wait until somebody has them, each once, in order; when there is no room, what is missing is said."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from controller.balancing.outbox import Message, Outbox, OutboxPolicy

ALL = 1 << 30


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        yield opened


def filled(db: sqlite3.Connection, count: int, policy: OutboxPolicy | None = None) -> Outbox:
    """Samples, with a curtailment every tenth."""
    outbox = Outbox(db, policy or OutboxPolicy())
    for k in range(count):
        topic = "curtailments" if k % 10 == 9 else "samples"
        outbox.put(f"{topic}/{k}", topic, f"{k:04d} {hash_text(k)}".encode(), float(k))
    return outbox


def hash_text(number: int) -> str:
    """Text that does not compress to nothing."""
    return "".join(chr(97 + (number * 7919 + k * k * 31) % 26) for k in range(60))


def keys(messages: list[Message]) -> list[str]:
    return [message.key for message in messages]


def test_messages_come_in_the_order_in_which_they_were_put_in_and_as_they_were(db: sqlite3.Connection) -> None:
    outbox = filled(db, 9)
    got = outbox.after(0, ALL)
    assert keys(got) == [f"samples/{k}" for k in range(9)]
    assert got[3].body.startswith(b"0003 ")
    assert (got[3].utc_s, got[3].topic) == (3.0, "samples")
    assert [m.id for m in got] == list(range(1, 10))
    assert outbox.newest_id() == 9


def test_what_is_not_acknowledged_comes_again_and_what_is_never(db: sqlite3.Connection) -> None:
    outbox = filled(db, 9)
    outbox.acknowledged([m.id for m in outbox.after(0, ALL)[:4]])
    assert keys(outbox.after(0, ALL)) == [f"samples/{k}" for k in range(4, 9)]
    outbox.acknowledged([1, 2, 999])
    assert outbox.count() == 5


def test_an_id_is_never_used_again(db: sqlite3.Connection) -> None:
    """Else a late acknowledgement of an old message would take a new one away."""
    outbox = filled(db, 3)
    outbox.acknowledged([1, 2, 3])
    outbox.put("late", "samples", b"", 0.0)
    assert [m.id for m in outbox.after(0, ALL)] == [4]


def test_a_packet_is_as_large_as_asked_and_never_empty(db: sqlite3.Connection) -> None:
    outbox = filled(db, 9)
    assert len(outbox.after(0, 1)) == 1
    each = outbox.used_bytes() / 9
    assert len(outbox.after(0, int(4.5 * each))) == 4


def test_the_backlog_brings_what_is_important_first_and_each_kind_in_order(db: sqlite3.Connection) -> None:
    outbox = filled(db, 40)
    late = keys(outbox.up_to(30, ALL))
    assert late[:3] == ["curtailments/9", "curtailments/19", "curtailments/29"]
    assert late[3:] == [f"samples/{k}" for k in range(30) if k % 10 != 9]


def test_a_key_is_used_once(db: sqlite3.Connection) -> None:
    outbox = filled(db, 1)
    with pytest.raises(sqlite3.IntegrityError):
        outbox.put("samples/0", "samples", b"other", 1.0)


def test_when_it_is_full_the_oldest_of_the_least_important_go_and_it_is_said_which(db: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as other:
        whole = filled(other, 300).used_bytes()
    outbox = filled(db, 300, OutboxPolicy(bytes_max=whole // 2))
    assert outbox.used_bytes() <= whole // 2
    left = outbox.up_to(outbox.newest_id(), ALL)
    assert sum(m.topic == "curtailments" for m in left) == 30
    (told,) = [json.loads(m.body)["dropped"]["samples"] for m in left if m.topic == "gaps"]
    samples = [int(m.key.split("/")[1]) for m in left if m.topic == "samples"]
    assert samples == [k for k in range(min(samples), 300) if k % 10 != 9]
    last = max(k for k in range(min(samples)) if k % 10 != 9)
    assert told == {"first": "samples/0", "last": f"samples/{last}", "count": 270 - len(samples)}


def test_the_size_is_right_after_a_change_that_was_taken_back(db: sqlite3.Connection) -> None:
    outbox = filled(db, 5)
    before = outbox.used_bytes()
    db.execute("BEGIN")
    outbox.put("x", "samples", b"y" * 100, 0.0)
    outbox.acknowledged([1, 2])
    db.execute("ROLLBACK")
    assert outbox.used_bytes() == before
    outbox.acknowledged(range(1, 6))
    assert outbox.used_bytes() == 0
