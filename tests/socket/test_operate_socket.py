"""Operators on a real Unix socket: who asks is told by the kernel, what is asked is judged by the cycle."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from controller.clock import SystemClock, utc_s
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.override import Book, receive, refusal
from controller.domain.instruction import Action, Instruction
from controller.domain.record import Event
from controller.domain.snapshot import Snapshot
from controller.runtime import instruction_socket
from controller.runtime.instruction_desk import InstructionDesk, Keeping
from controller.runtime.instruction_socket import InstructionSocket
from controller.runtime.operate_command import operate

pytestmark = pytest.mark.socket

SITE = load_site(find_site("secondary_rooftop"))
NONE = np.zeros(len(SITE.units))


@dataclass
class Room:
    """A socket and a loop that accepts everything but blocks; with a ``book`` it judges as the core does."""

    path: Path
    desk: InstructionDesk
    book: Book | None = None
    seen: list[Instruction] = field(default_factory=list)

    async def cycles(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            taken = self.desk.take()
            self.seen += taken
            if self.book is None:
                self.desk.settle([Event(self._verdict(i), i.id, f"{i.action.value} heard") for i in taken])
            else:
                clock = SystemClock()
                judged = receive(SITE, self.book, Snapshot(clock.now_s(), {}, utc_s(clock), instructions=taken), NONE)
                self.book = judged.book
                self.desk.settle(judged.events)

    @staticmethod
    def _verdict(asked: Instruction) -> str:
        return "instruction.refused" if asked.action is Action.BLOCK else "instruction.accepted"


@contextlib.asynccontextmanager
async def room(tmp_path: Path, book: Book | None = None, keeping: Keeping | None = None) -> AsyncIterator[Room]:
    desk = InstructionDesk(keeping)
    made = Room(tmp_path / "operate", desk, book)
    listener = InstructionSocket(made.path, SystemClock(), desk)
    await listener.open()
    cycles = asyncio.create_task(made.cycles())
    try:
        yield made
    finally:
        cycles.cancel()
        await listener.aclose()
        assert not made.path.exists()


async def command(made: Room, *words: str) -> Result:
    run: Callable[[], Result] = lambda: CliRunner().invoke(operate, [str(made.path), *words])  # noqa: E731
    async with asyncio.timeout(10.0):
        return await asyncio.to_thread(run)


async def test_every_command_says_what_it_means(tmp_path: Path) -> None:
    async with room(tmp_path) as made:
        both = ("--for", "15m", "--reason", "outage 4711")
        await command(made, "limit", "export", "--kw", "2000", *both)
        await command(made, "limit", "T1", "--a", "300", *both)
        await command(made, "override", "BAT1", "--generation-kw", "500", "--kvar", "-100", *both)
        await command(made, "override", "BAT1", "--consumption-kw", "250", *both)
        await command(made, "hold", *both)
        await command(made, "reactive", "--absorb-kvar", "1500", *both)
        await command(made, "reactive", "--inject-kvar", "800", *both)
        await command(made, "release", "all", "--reason", "done")
        await command(made, "reset-g100", "export", "--reason", "cause found")
        said = [(i.action.value, i.subject, str(i.value), i.q_var, i.lasts_s) for i in made.seen]
        assert said == [
            ("limit", "export", "2000000.0", None, 900.0),
            ("limit", "T1", "300.0", None, 900.0),
            ("override", "BAT1", "-500000.0", -100e3, 900.0),
            ("override", "BAT1", "250000.0", None, 900.0),
            ("hold", "all", "nan", None, 900.0),
            ("reactive", "interface", "nan", 1500e3, 900.0),
            ("reactive", "interface", "nan", -800e3, 900.0),
            ("release", "all", "nan", None, 60.0),
            ("reset-g100", "export", "nan", None, 60.0),
        ]
        assert {i.issuer for i in made.seen} == {getpass.getuser()}
        assert sorted(i.counter for i in made.seen) == [i.counter for i in made.seen]
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o660


async def test_the_answer_is_printed_and_decides_the_exit_status(tmp_path: Path) -> None:
    async with room(tmp_path) as made:
        good = await command(made, "hold", "--for", "90s", "--reason", "x")
        bad = await command(made, "block", SITE.units[0].id, "--for", "2h", "--reason", "x")
        assert (good.exit_code, good.output.endswith("accepted: hold heard\n")) == (0, True)
        assert (bad.exit_code, bad.output.endswith("refused: block heard\n")) == (1, True)


WRONG = [
    ("limit", "export", "--for", "15m", "--reason", "x"),
    ("limit", "export", "--kw", "1", "--a", "1", "--for", "15m", "--reason", "x"),
    ("limit", "export", "--kw", "1", "--for", "15", "--reason", "x"),
    ("limit", "export", "--kw", "1", "--for", "15m"),
    ("override", "BAT1", "--for", "15m", "--reason", "x"),
    ("reactive", "--for", "15m", "--reason", "x"),
    ("reactive", "--absorb-kvar", "1", "--inject-kvar", "1", "--for", "15m", "--reason", "x"),
    ("limit", "export", "--kw", "nan", "--for", "15m", "--reason", "x"),
    ("limit", "export", "--kw", "inf", "--for", "15m", "--reason", "x"),
    ("limit", "export", "--kw", "1", "--for", "9" * 400 + "h", "--reason", "x"),
    ("limit", "export", "--kw", "1", "--for", "0s", "--reason", "x"),
    ("limit", "export", "--kw", "1", "--for", "\u0661\u0665m", "--reason", "x"),
]


@pytest.mark.parametrize("words", WRONG)
async def test_a_command_that_says_too_little_or_too_much_is_not_sent(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with room(tmp_path) as made:
        assert (await command(made, *words)).exit_code != 0
        assert made.seen == []


async def test_without_a_controller_the_command_says_so(tmp_path: Path) -> None:
    found = CliRunner().invoke(operate, [str(tmp_path / "none"), "hold", "--for", "1m", "--reason", "x"])
    assert found.exit_code == 1
    assert "is the controller running with --operate-socket?" in found.output


async def test_a_line_that_cannot_be_read_is_answered_and_one_that_is_too_long_cuts_off(tmp_path: Path) -> None:
    async with room(tmp_path) as made, asyncio.timeout(10.0):
        reader, writer = await asyncio.open_unix_connection(str(made.path))
        writer.write(b'{"nonsense": 1}\n')
        assert "malformed" in json.loads(await reader.readline())["text"]
        writer.write(b"x" * 20_000)
        assert "expected a line of at most 4096 bytes" in json.loads(await reader.read())["text"]
        writer.close()
        assert (await command(made, "hold", "--for", "1m", "--reason", "x")).exit_code == 0


async def test_the_ninth_peer_is_turned_away_and_the_others_are_served(tmp_path: Path) -> None:
    async with room(tmp_path) as made, asyncio.timeout(10.0):
        peers = [await asyncio.open_unix_connection(str(made.path)) for _ in range(9)]
        assert json.loads(await peers[8][0].read())["text"].startswith("8 peers talk already")
        for _, writer in peers:
            writer.close()


async def test_a_second_controller_on_the_same_socket_is_refused(tmp_path: Path) -> None:
    async with room(tmp_path) as made:
        with pytest.raises(OSError, match="another process listens there"):
            await InstructionSocket(made.path, SystemClock(), InstructionDesk()).open()


async def test_a_controller_that_ends_while_peers_talk_says_nothing_about_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with room(tmp_path) as made, asyncio.timeout(10.0):
        peers = [await asyncio.open_unix_connection(str(made.path)) for _ in range(3)]
        peers[1][1].write(b'{"half": ')
        peers[2][1].write(b"nonsense\n" * 50)
        assert "not JSON" in json.loads(await peers[2][0].readline())["text"]
    for _, writer in peers:
        writer.close()
    assert caplog.text == ""


async def test_a_flood_of_what_cannot_be_read_is_answered_at_a_walk(tmp_path: Path) -> None:
    """Each line costs a log line and processor time of the process that holds the limits."""
    async with room(tmp_path) as made:
        reader, writer = await asyncio.open_unix_connection(str(made.path))
        writer.write(b"nonsense\n" * 400)
        answers = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.55):
                while await reader.readline():
                    answers += 1
        writer.close()
        assert answers <= 6


async def test_no_account_keeps_another_out_however_many_places_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight connections of one account that say nothing: whoever has to act in an emergency gets in."""
    accounts = iter([1000] * 8 + [2000] * 5)
    monkeypatch.setattr(instruction_socket, "uid_of", lambda _: next(accounts))
    async with room(tmp_path) as made, asyncio.timeout(10.0):
        with capture_logs() as logs:
            greedy = [await asyncio.open_unix_connection(str(made.path)) for _ in range(8)]
            answer = await command(made, "hold", "--for", "1m", "--reason", "emergency")
            assert answer.exit_code == 0, answer.output
            told = json.loads(await greedy[0][0].read())
            assert told == {"id": "", "accepted": False, "text": "another account needs the place; yours had 8"}
            others = [await asyncio.open_unix_connection(str(made.path)) for _ in range(4)]
            await asyncio.sleep(0.05)
        assert [log["event"] for log in logs] == ["instruction.cut_off"]
        assert logs[0]["reason"] == "all 8 places were taken, 8 of them by uid1000"
        for reader, writer in (*greedy[4:], *others):
            writer.write(b"{}\n")
            assert "malformed" in json.loads(await reader.readline())["text"]
        for _, writer in (*greedy, *others):
            writer.close()


async def test_who_reads_no_answer_keeps_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With words that nobody takes off, its descriptor would stay open for as long as the peer likes."""
    monkeypatch.setattr(instruction_socket, "_LINE_S", 0.2)
    monkeypatch.setattr(instruction_socket, "write_answer", lambda *_: b"x" * (1 << 23))
    async with room(tmp_path) as made, asyncio.timeout(10.0):
        reader, writer = await asyncio.open_unix_connection(str(made.path))
        writer.write(b"{}\n")
        await asyncio.sleep(0.6)
        with contextlib.suppress(ConnectionResetError):
            assert len(await reader.read()) < 1 << 23
        writer.close()


async def test_an_operator_is_not_shut_out_by_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """Counters are made of the time of day; one from the year 2036 was used, and then the clock came back."""
    book = Book(counters={getpass.getuser(): 2_100_000_000_000_000})
    async with room(tmp_path, book) as made:
        for word in ("hold", "release"):
            answer = await command(made, word, *(("--for", "1m") if word == "hold" else ("all",)), "--reason", "x")
            assert answer.exit_code == 0, answer.output
        assert [asked.counter for asked in made.seen][1::2] == [2_100_000_000_000_001, 2_100_000_000_000_002]
        (early, *_) = made.seen
        assert refusal(SITE, made.book, early, utc_s(SystemClock())).startswith("replayed")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("reset-trips", "all", "--reason", "breaker checked"), "accepted: reset-trips all by"),
        (("reset-trips", SITE.units[0].id, "--reason", "x"), "accepted: reset-trips"),
        (("reset-trips", "NOBODY", "--reason", "x"), "refused: unknown unit NOBODY"),
        (("hold", "--for", "1m", "--reason", "x"), "accepted: hold all by"),
        (("block", SITE.units[0].id, "--for", "1m", "--reason", "x"), "accepted: block"),
        (("release", "all", "--reason", "x"), "accepted: release all by"),
        (("reset-g100", "--reason", "x"), "refused: the site has no G100 scheme"),
    ],
)
async def test_every_word_has_its_answer_from_the_core(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    """Trips were let go, and the operator was told that nobody answered."""
    async with room(tmp_path, Book()) as made:
        answer = await command(made, *words)
        assert says in answer.output
        assert answer.exit_code == (0 if "accepted" in says else 1)


class FullDisk:
    """What was accepted is not kept; known before, or only found when it is tried."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    def unkept(self, timeout_s: float) -> str:
        return "No space left on device"


@pytest.mark.parametrize("known", ["", "No space left on device"])
async def test_an_operator_is_told_when_what_was_accepted_would_not_outlive_a_restart(
    tmp_path: Path, known: str
) -> None:
    async with room(tmp_path, Book(), FullDisk(known)) as made:
        with capture_logs() as logs:
            taken = await command(made, "block", SITE.units[0].id, "--for", "5m", "--reason", "people at work")
            released = await command(made, "release", "all", "--reason", "done")
    assert taken.exit_code == 0
    assert "NOT KEPT over a restart of the controller: No space left on device" in taken.output
    assert (released.exit_code == 1) == bool(known)
    assert "No space left on device" in released.output
    assert logs[0]["event"] == "instruction.unkept"
