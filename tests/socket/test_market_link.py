"""The station's side of the market while something is missing: history, time of day, disk, control process, key."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

import market_kit as made
import uftp_kit as kit
from shapeshifter_uftp import uftp

from controller.balancing.ledger import Ledger
from controller.balancing.order_port import OrderPort
from controller.balancing.uftp.link import MarketLink
from controller.balancing.uftp.memory import Memory
from controller.clock import ManualClock
from controller.domain.market import Wire

pytestmark = pytest.mark.socket

SITE = made.site_with(made.market_text())
NOON = datetime.fromtimestamp(kit.NOON_S, UTC)
UNSET = datetime(1970, 1, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def link(folder: Path, at: datetime = NOON) -> AsyncIterator[MarketLink]:
    key = folder / "market.key"
    key.write_text(kit.KEYS[kit.DSO][1], "ascii")
    assert SITE.market is not None
    place = replace(SITE.market, wire=Wire("127.0.0.1", 0, str(key)))
    opened = MarketLink(SITE, place, ManualClock(0.0, at), folder, OrderPort(folder / "nobody"))
    await opened.open()
    try:
        yield opened
    finally:
        await opened.aclose()


def hello() -> bytes:
    return kit.sealed(uftp.TestMessage(**kit.head()))


async def test_without_a_history_nothing_is_asked_but_messages_are_heard_and_answered(tmp_path: Path) -> None:
    async with link(tmp_path) as ours:
        assert await ours.plan() == math.inf
        assert await ours._receive(hello()) == 200
        assert [said.kind for said in await ours._waiting()] == ["TestMessageResponse"]


async def test_while_nobody_knows_the_time_of_day_nothing_is_judged_and_the_sender_is_to_try_again(
    tmp_path: Path,
) -> None:
    async with link(tmp_path, UNSET) as ours:
        assert await ours._receive(hello()) == 503
        assert await ours.plan() == math.inf
        await ours.order()
        assert await ours._waiting() == []


async def test_while_the_disk_refuses_nothing_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with link(tmp_path) as ours:
        with monkeypatch.context() as patched:
            patched.setattr(Memory, "hear", refuse)
            assert await ours._receive(hello()) == 503
        assert await ours._receive(hello()) == 200  # the same message, tried again


async def test_a_control_process_that_is_away_is_asked_again_later(tmp_path: Path) -> None:
    """What an earlier life of the station may have said is released, as soon as somebody hears it."""
    async with link(tmp_path) as ours:
        await ours.order()
    with contextlib.closing(Ledger(tmp_path / "market")) as ledger:
        (entry,) = [entry for entry, _ in ledger.entries()]
        assert (entry.issuer, entry.verdict) == ("flexibility:market", "not ordered")
        assert entry.reason.startswith("no answer")


@pytest.mark.parametrize("text", ["no key", kit.KEYS[kit.DSO][0], ""])
def test_a_signing_key_that_is_none_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "market.key").write_text(text, "ascii")
    assert SITE.market is not None
    place = replace(SITE.market, wire=Wire("127.0.0.1", 0, str(tmp_path / "market.key")))
    with pytest.raises(ValueError, match=r"market\.signing_key .*: .* expected the 64 of a signing key"):
        MarketLink(SITE, place, ManualClock(0.0, NOON), tmp_path, None)
