"""Hostile UFTP messages over restarts and clock steps: none acted on, all on record, none that costs much.

``GRIDEDGE_FUZZ_MESSAGES`` says how many (``make fuzz``: a hundred thousand, five minutes). Time is CPU time, so that a
busy machine is not taken for a hanging parser.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostile_messages import ATTACKS, Message, Scene, fault_of, kit, signed, text_of

from controller.balancing.uftp import wire
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.memory import Memory

MESSAGES = int(os.environ.get("GRIDEDGE_FUZZ_MESSAGES", "2000"))
LIFE = 500  # messages between two restarts
SEED = 20261123
HANG_S = 0.05
GROWTH_BYTES_MAX = 16 << 20
RULES = kit.market(messages_per_hour=LIFE + 100)


@contextmanager
def restarted(folder: Path) -> Iterator[tuple[Desk, Memory]]:
    memory = Memory(folder)
    memory._db.execute("PRAGMA synchronous=OFF")  # the disk is not what is tested here
    try:
        yield Desk(RULES, memory), memory
    finally:
        memory.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parsing_s(body: bytes) -> float:
    """CPU time of all that depends on the message alone, not on the disk."""
    began_s = time.process_time()
    with contextlib.suppress(wire.Unreadable):
        wire.unseal(wire.open_envelope(body), kit.KEYS[kit.AGR][0])
    return time.process_time() - began_s


class Siege:
    """Everything that was sent, and what became of it."""

    def __init__(self) -> None:
        self.draw = random.Random(SEED)
        self.seen: Counter[str] = Counter()
        self.slowest: tuple[float, str] = (0.0, "")
        self.accepted: list[bytes] = []
        self.interrupted = 0
        self.number = 0
        self.asked = ""

    def scene(self) -> Scene:
        self.number += 1
        now_s = kit.NOON_S + self.draw.uniform(0.0, 600.0)
        return Scene(self.draw, now_s, self.asked, self.accepted, self.number)

    def life(self, desk: Desk, memory: Memory) -> None:
        """A right offer, and then the siege; the clock is set by an hour now and then."""
        self.asked = desk.ask(kit.request(), kit.NOON_S)[kit.AGR]
        first = self.scene()
        body = signed(text_of(first))
        assert desk.hear(body, first.now_s).reason == ""
        assert desk.hear(body, first.now_s).reason == "Already Submitted"  # and all that is made once is made
        self.accepted.append(body)
        for _ in range(LIFE):
            scene, attack = self.scene(), self.draw.choice(ATTACKS)
            self.send(desk, memory, scene, attack.__name__, attack(scene))

    def send(self, desk: Desk, memory: Memory, scene: Scene, name: str, message: Message) -> None:
        set_by_s = self.draw.choice((0.0, 0.0, 0.0, -3600.0, 3600.0)) if name == "replay" else 0.0
        began_s = time.process_time()
        try:
            verdict = desk.hear(message.body, scene.now_s + set_by_s)
            reason = verdict.reason
        except wire.Unreadable as error:
            reason = f"HTTP {error.status}"
        took_s = time.process_time() - began_s
        if took_s > HANG_S:  # the message, or a collection of garbage or a checkpoint that fell on it?
            took_s = min(parsing_s(message.body) for _ in range(3))
            self.interrupted += 1
        self.slowest = max(self.slowest, (took_s, name))
        self.seen[name] += 1
        if not reason:
            assert message.may_pass, f"{name} was acted on: {message.body[:400]!r}"
            heard = memory.accepted(verdict.message_id)
            assert heard is not None
            assert fault_of(heard.payload, scene) == "", (name, heard.payload)


@pytest.mark.parametrize("seed", [SEED])
def test_no_hostile_message_is_acted_on_and_all_are_on_record(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}, {MESSAGES} messages")
    siege, sizes = Siege(), []
    lives = -(-MESSAGES // LIFE)
    for _ in range(lives):
        with restarted(tmp_path) as (desk, memory):
            siege.life(desk, memory)
        sizes.append(resident_bytes())
    with restarted(tmp_path) as (_, memory):
        on_record = len(memory.verdicts()) + sum(row.count for row in memory.turned_away())
        assert on_record == lives * (LIFE + 2)
        assert memory.verify() == ""
    print(dict(siege.seen), f"slowest {siege.slowest[0] * 1e3:.1f} ms ({siege.slowest[1]})")
    print(f"{siege.interrupted} measured again, {(sizes[-1] - sizes[len(sizes) // 4]) / 1e6:.1f} MB more at the end")
    assert siege.slowest[0] < HANG_S, siege.slowest
    assert siege.interrupted <= 1 + MESSAGES // 1000
    assert set(siege.seen) == {attack.__name__ for attack in ATTACKS}
    assert sizes[-1] - sizes[len(sizes) // 4] < GROWTH_BYTES_MAX
