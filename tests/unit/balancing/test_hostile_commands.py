"""Generated hostile commands and replays over restarts and clock steps: none acted on outside limits, all on record.

``GRIDEDGE_HOSTILE=100000 python -m pytest tests/unit/balancing/test_hostile_commands.py`` says how many; the seed is
printed when a test fails.
"""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import platform_kit as kit
import pytest

from controller.balancing.admission import Now
from controller.balancing.command import Command, Kind, Part, Step
from controller.balancing.desk import JUDGED_PER_HOUR, CommandDesk, Unreadable
from controller.balancing.ledger import FILE, Ledger
from controller.balancing.openadr.events import to_command
from controller.balancing.openadr.models import Event, Program, parse
from controller.balancing.openadr.strict_json import Malformed, read_json
from controller.balancing.orders import wanted

COUNT = int(os.environ.get("GRIDEDGE_HOSTILE", "10000"))
BATCH = 200
SEED = 20270115
S = kit.UTC_S
ODD = [math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, -0.0, 2.0**63, -1.0, 1e-9]
MOST_W = {"export": (0.0, 20e6), "import": (0.0, 20e6), "PVA": (-6e6, 0.0), "interface": (-3e6, 3e6)}


def odd(draw: random.Random, usual: Callable[[], float]) -> float:
    return draw.choice(ODD) if draw.random() < 0.15 else usual()


def hostile(draw: random.Random, k: int, utc_s: float) -> Command:
    """Mostly almost right, which is what gets through if anything does."""
    subject = draw.choice(["export", "import", "interface", "BAT1", "PVA", "WIND1", "all", "", "export\x00"])
    kind = draw.choice(list(Kind))
    parts = tuple(
        part(draw, draw.choice([kind, kind, Kind.LIMIT]), subject, utc_s) for _ in range(draw.choice([1, 1, 2]))
    )
    return Command(
        id=draw.choice([f"c{k}", f"c{max(k - draw.randrange(50), 0)}", "", "x" * 500, "\ud800", "a\nb"]),
        issuer=draw.choice([kit.DSO, kit.DSO, kit.TSO, "flexibility:tso", "operator", "", "root"]),
        counter=draw.choice([k, k, k, k - draw.randrange(100), -1, 1 << 70]),
        issued_utc_s=odd(draw, lambda: utc_s + draw.uniform(-5.0, 40.0)),
        priority=draw.choice([0, 1, 5, -1, 1 << 40]),
        parts=parts,
    )


def part(draw: random.Random, kind: Kind, subject: str, utc_s: float) -> Part:
    start_s, steps = odd(draw, lambda: utc_s + draw.uniform(-3600.0, 7200.0)), []
    for _ in range(draw.choice([0, 1, 1, 1, 2, 5])):
        end_s = odd(draw, lambda now=start_s: now + draw.choice([-60.0, 0.0, 60.0, 1800.0, 1e6]))  # type: ignore[misc]
        steps.append(Step(start_s, end_s, odd(draw, lambda: draw.uniform(-30e6, 30e6))))
        start_s = end_s
    return Part(kind, subject, tuple(steps))


def battery_w() -> tuple[float, float]:
    unit = next(u for u in kit.SITE.units if u.id == "BAT1")
    return unit.p_min_w, unit.p_max_w


def check_orders(desk: CommandDesk, now: Now) -> int:
    """What would be acted on now, judged by hand."""
    orders = wanted(kit.SITE, desk.book, now)
    for order in orders.values():
        low_w, high_w = (MOST_W | {"BAT1": battery_w()})[order.subject]
        assert order.account in (kit.DSO, kit.TSO)
        assert low_w <= order.w <= high_w
        assert order.until_utc_s > now.utc_s
        if order.account == kit.TSO:
            assert order.subject in ("BAT1", "interface")
            assert order.subject == "interface" or abs(order.w) <= 500e3
    return len(orders)


def restarted(folder: Path, ledger: Ledger, now: Now) -> tuple[CommandDesk, Ledger]:
    ledger.close()
    again = Ledger(folder)
    return CommandDesk(kit.SITE, again, now), again


def test_no_hostile_command_is_acted_on_outside_limits_and_all_are_on_record(tmp_path: Path) -> None:
    draw, ledger = random.Random(SEED), Ledger(tmp_path)
    now, asked, accepted, acted = kit.NOW, 0, [], 0
    desk = CommandDesk(kit.SITE, ledger, now)
    print(f"seed {SEED}, {COUNT} commands")
    for k in range(0, COUNT, BATCH):
        batch = [hostile(draw, k + i, now.utc_s) for i in range(BATCH)]
        verdicts = desk.judge(batch, now)
        assert len(verdicts) == BATCH
        asked += BATCH
        accepted += [c for c in batch for v in verdicts if v.accepted and (v.command, v.issuer) == (c.id, c.issuer)]
        acted += check_orders(desk, now)
        now = Now(now.utc_s + draw.uniform(0.0, 900.0), now.now_s + draw.uniform(0.0, 900.0))
        desk.expire(now)
    judged = [e for e, _ in ledger.entries() if e.verdict in ("accepted", "refused")]
    assert len(judged) == asked
    assert all(e.reason for e in judged if e.verdict == "refused")
    assert ledger.fault() == ""
    assert accepted  # otherwise nothing was tried
    assert acted
    ledger.close()


def test_no_replay_is_accepted_over_restarts_and_clock_steps(tmp_path: Path) -> None:
    draw, ledger = random.Random(SEED), Ledger(tmp_path)
    now = kit.NOW
    desk = CommandDesk(kit.SITE, ledger, now)
    said = [kit.limit(float(k), id=f"e{k}", counter=k, lasts_s=80_000.0) for k in range(40)]
    assert all(v.accepted for v in desk.judge(said, now))
    count, refused = max(COUNT // 10, 1000), 0
    while refused < count:
        step_s = draw.choice([0.0, 60.0, 86_400.0])
        now = Now(now.utc_s + draw.choice([-step_s, step_s]), draw.uniform(0.0, 1e6))
        desk, ledger = restarted(tmp_path, ledger, now)
        again = [_disguised(draw, draw.choice(said)) for _ in range(100)]
        verdicts = desk.judge(again, now)
        assert not [v for v in verdicts if v.accepted]
        refused += len(verdicts)
    assert sum(e.verdict == "refused" for e, _ in ledger.entries()) == refused
    ledger.close()


def _disguised(draw: random.Random, said: Command) -> Command:
    """The same command with another face; its counter is what it cannot change, or it would be a new one."""
    return (
        replace(said, priority=draw.randrange(1 << 20), id=draw.choice([said.id, f"new{draw.randrange(99)}"]))
        if (said.counter < 39)
        else replace(said, priority=draw.randrange(1 << 20))
    )


def test_bytes_from_anywhere_become_a_command_or_a_reason(tmp_path: Path) -> None:
    draw, ledger = random.Random(SEED), Ledger(tmp_path)
    desk = CommandDesk(kit.SITE, ledger, kit.NOW)
    program, good = parse(Program, kit.PROGRAM), json.dumps(kit.event()).encode()
    asked: list[Command | Unreadable] = []
    for k in range(max(COUNT // 10, 500)):
        body = bytearray(good)
        for _ in range(draw.randrange(1, 6)):
            body[draw.randrange(len(body))] = draw.choice(b'0123456789{}[]",:-eENaI\x00\xff')
        try:
            asked.append(to_command(parse(Event, read_json(bytes(body), 1 << 20)), program, kit.DSO))
        except Malformed as error:
            asked.append(Unreadable(f"m{k}", kit.DSO, str(error), body.decode("latin-1")))
    verdicts = desk.judge(asked, kit.NOW)
    assert len(verdicts) == len(asked)
    assert sum(1 for _ in ledger.entries()) == len(verdicts)
    check_orders(desk, kit.NOW)
    ledger.close()


def test_a_flood_of_nonsense_fills_no_disk_and_delays_no_command(tmp_path: Path) -> None:
    """A verdict stays for good, so there is so much room for them in an hour; who still asks is heard later."""
    ledger = Ledger(tmp_path)
    desk = CommandDesk(kit.SITE, ledger, kit.NOW)
    nonsense = [Unreadable(f"m{k}", kit.DSO, "malformed", f"{k}") for k in range(int(JUDGED_PER_HOUR.most) + 500)]
    verdicts = desk.judge([*nonsense, kit.limit()], kit.NOW)
    assert len(verdicts) == JUDGED_PER_HOUR.most
    assert [v.command for v in verdicts if v.accepted] == ["e1"]
    assert desk.judge(nonsense, kit.NOW) == []
    assert len(desk.judge(nonsense, Now(kit.UTC_S + 3600.0, kit.NOW.now_s + 3600.0))) == 501
    assert sum(1 for _ in ledger.entries()) == len(nonsense) + 1
    ledger.close()


def test_a_verdict_can_be_neither_changed_nor_deleted_and_a_change_by_force_shows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    desk = CommandDesk(kit.SITE, ledger, kit.NOW)
    desk.judge([kit.limit(), kit.limit(99e6, id="e2", counter=8)], kit.NOW)
    ledger.close()
    db = sqlite3.connect(tmp_path / FILE)
    for attack in ("DELETE FROM verdict", "UPDATE verdict SET reason = ''"):
        with pytest.raises(sqlite3.IntegrityError, match="cannot be"):
            db.execute(attack)
    db.execute("DROP TRIGGER verdict_stays")
    db.execute("UPDATE verdict SET verdict = 'accepted'")
    db.commit()
    db.close()
    again = Ledger(tmp_path)
    assert "entry 2" in again.fault()
    again.close()


def test_a_book_that_makes_no_sense_is_refused_whole(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write([], '{"standing": 5, "marks": {}, "spent": {}}')
    desk = CommandDesk(kit.SITE, ledger, kit.NOW)
    assert desk.book.standing == ()
    assert "makes no sense" in desk.trouble
    ledger.close()
