"""The station's side of the market while something is missing: history, time of day, disk, control process, key."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

import market_kit as made
import uftp_kit as kit
from full_disk import full_disk
from shapeshifter_uftp import uftp
from structlog.testing import capture_logs

from controller.balancing.ledger import Ledger
from controller.balancing.order_port import OrderPort
from controller.balancing.uftp.link import MarketLink
from controller.balancing.uftp.memory import Memory
from controller.clock import ManualClock
from controller.domain.instruction import Action, Instruction
from controller.domain.market import Wire
from simulators.platform.certificates import Authority

pytestmark = pytest.mark.socket

SITE = made.site_with(made.market_text())
NOON = datetime.fromtimestamp(kit.NOON_S, UTC)
UNSET = datetime(1970, 1, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def link(folder: Path, at: datetime = NOON, **files: str) -> AsyncIterator[MarketLink]:
    key = folder / "market.key"
    key.write_text(kit.KEYS[kit.DSO][1], "ascii")
    assert SITE.market is not None
    place = replace(SITE.market, wire=Wire("127.0.0.1", 0, str(key), **files))
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


async def test_orders_go_to_the_control_process_while_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ordered is paid for: it must not wait for a disk."""
    heard: list[Instruction] = []

    async def say(_: OrderPort, asked: Instruction) -> tuple[bool, str]:
        heard.append(asked)
        return True, "accepted"

    monkeypatch.setattr(OrderPort, "say", say)
    async with link(tmp_path) as ours:
        with full_disk(), capture_logs() as logs:
            with pytest.raises(sqlite3.Error):
                await ours.order()
            assert await ours._receive(hello()) == 503
        assert [asked.action for asked in heard] == [Action.RELEASE]
        assert [(log["event"], log["subject"]) for log in logs] == [("market.stuck", "memory")]
        await ours.order()
        assert await ours._receive(hello()) == 200


async def test_a_market_that_ends_on_a_full_disk_ends_all_the_same(tmp_path: Path) -> None:
    with contextlib.ExitStack() as disk, capture_logs() as logs:
        async with link(tmp_path) as ours:
            for _ in range(2):
                assert await ours._receive(b"<nonsense/>") in (400, 401)
            disk.enter_context(full_disk())
    assert [log["subject"] for log in logs if log["event"] == "market.stuck"] == ["memory"]


async def shown_by(ours: MarketLink, authority: Authority) -> bytes | None:
    """The certificate that whoever connects to the market's endpoint gets to see."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    async with asyncio.timeout(10.0):
        _, writer = await asyncio.open_connection("127.0.0.1", ours.endpoint.port, ssl=context)
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found


async def test_a_certificate_that_is_renewed_on_the_disk_is_shown_without_a_restart(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    first, second = authority.issue("127.0.0.1"), authority.issue("127.0.0.1", also=("second",))  # in the same files
    assert first == second
    second_pem, second_key = first.cert_file.read_bytes(), first.key_file.read_bytes()
    authority.issue("127.0.0.1")
    files = {"cert_file": str(first.cert_file), "key_file": str(first.key_file)}
    async with link(tmp_path, **files) as ours:
        old = await shown_by(ours, authority)
        first.cert_file.write_bytes(second_pem)  # half of the pair: the old one has to do
        with capture_logs() as logs:
            await ours._waiting()
            assert await shown_by(ours, authority) == old
            first.key_file.write_bytes(second_key)
            await ours._waiting()
        assert await shown_by(ours, authority) == ssl.PEM_cert_to_DER_cert(second_pem.decode()) != old
        told = [(log["event"], log["subject"]) for log in logs if log["event"] != "market.cut_off"]
        assert told == [("market.stuck", "certificate"), ("market.unstuck", "certificate")]
        assert any("expected a PEM certificate and its key" in log["reason"] for log in logs)
        with pytest.raises(ssl.SSLCertVerificationError):
            await shown_by(ours, Authority(tmp_path / "other"))
