"""The station process may be killed, starved or flooding: what is decided is the same to the last bit."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from field_processes import PATIENCE_S, SITE, Bench, bench, end

from controller.clock import ManualClock, SystemClock
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.history.batch import Batch
from controller.history.chain import verify
from controller.history.keeper import Keeper
from controller.history.store import Store, curtailments, open_to_read
from controller.recording.codec import Tree, to_tree
from controller.recording.command import replay_command
from controller.recording.recorder import Recorder
from controller.recording.writer import Writer
from controller.runtime.core import Step
from controller.runtime.loop_sync import VirtualLoop
from controller.runtime.publish import Publisher
from controller.runtime.record_socket import RecordSocket
from controller.runtime.state_file import StateFile
from simulators.adapters.in_process import InProcessField
from simulators.scenario import load_scenario
from simulators.world import World

pytestmark = pytest.mark.socket

CYCLES = 60
SETTLE_S = 0.05  # for the other end of what was just opened or closed
NOON_S = 12.0 * 3600.0

Trouble = Callable[[Path, int], Awaitable[None]]


async def decided(path: Path, trouble: Trouble, core: Step[ControlState] = step) -> list[Tree]:
    """A minute of the closed loop on virtual time, with a real record socket and somebody at its other end.

    All that was decided, as trees: in them NaN is equal to itself.
    """
    site = load_site(find_site(SITE))
    world = World(site, load_scenario(SITE).starting_at(NOON_S), 1)
    field = InProcessField(world, site.devices)
    loop = VirtualLoop(site, field, core, initial_state(site), clock=ManualClock())
    records = RecordSocket(path)
    await records.open()
    publisher = Publisher([records], dict)
    out = []
    try:
        for k in range(CYCLES):
            await trouble(path, k)
            record = loop.tick()
            if record is not None:
                publisher.publish(record)
                out.append(to_tree(record))
            world.step(1.0)
            loop.clock.advance(1.0)
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(SETTLE_S)
        await records.aclose()
    return out


async def nobody(path: Path, cycle: int) -> None:
    """The station process does not run."""


@contextlib.asynccontextmanager
async def starved() -> AsyncIterator[Trouble]:
    """It is connected and gets no time: nothing is ever read."""
    opened: list[asyncio.StreamWriter] = []

    async def connect(path: Path, cycle: int) -> None:
        if not cycle:
            _, writer = await asyncio.open_unix_connection(str(path), limit=1 << 10)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            opened.append(writer)

    yield connect
    for writer in opened:
        writer.close()
    await asyncio.sleep(SETTLE_S)


async def killed(path: Path, cycle: int) -> None:
    """It comes and dies, every other cycle."""
    if cycle % 2:
        _, writer = await asyncio.open_unix_connection(str(path))
        await asyncio.sleep(0)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def flooding() -> AsyncIterator[Trouble]:
    """It sends what nobody asked for, on more connections than there may be."""
    opened: list[socket.socket] = []

    async def flood(path: Path, cycle: int) -> None:
        made = socket.socket(socket.AF_UNIX)
        made.setblocking(False)
        opened.append(made)
        with contextlib.suppress(OSError):
            made.connect(str(path))
        await asyncio.sleep(0)
        for each in opened:
            with contextlib.suppress(OSError):
                each.send(b'{"setpoints": [{"unit": "PV1", "p_w": -1e9}]}\n' * 1000)

    yield flood
    for made in opened:
        made.close()
    await asyncio.sleep(SETTLE_S)


async def test_what_is_decided_does_not_depend_on_who_listens(tmp_path: Path) -> None:
    alone = await decided(tmp_path / "a", nobody)
    assert await decided(tmp_path / "b", killed) == alone
    async with starved() as trouble:
        assert await decided(tmp_path / "c", trouble) == alone
    async with flooding() as trouble:
        assert await decided(tmp_path / "d", trouble) == alone
    assert len(alone) == CYCLES
    assert len({str([s["p_w"] for s in record["setpoints"]]) for record in alone}) > 10


async def test_what_is_decided_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    """Not a single cycle can be recorded: the disk is full from the beginning."""

    class FullDisk(Writer):
        def write(self, cycle: object) -> bool:
            raise OSError(28, "No space left on device")

    recorder = Recorder(FullDisk(tmp_path / "full.jsonl.gz"), depth=4)
    alone = await decided(tmp_path / "a", nobody)
    assert await decided(tmp_path / "b", nobody, recorder.taping(step)) == alone
    recorder.close()
    assert recorder.dropped == CYCLES


async def test_a_disk_that_hangs_changes_no_decision_and_holds_no_cycle_up(tmp_path: Path) -> None:
    """Every write blocks for as long as the minute lasts: of the recording, of the state file, of the history."""
    free, blocked = threading.Event(), threading.Event()

    def hang() -> None:
        blocked.set()
        free.wait(PATIENCE_S)

    class HungDisk(Writer):
        def write(self, cycle: object) -> bool:
            hang()
            return False

    class HungStore(Store):
        def append(self, period: Batch) -> int:
            hang()
            return super().append(period)

    alone = await decided(tmp_path / "a", nobody)
    recorder = Recorder(HungDisk(tmp_path / "hung.jsonl.gz"), depth=4)
    state_file = StateFile(tmp_path / "state", SITE, SystemClock())
    keeper = Keeper(lambda: HungStore(tmp_path, SITE))
    await keeper.open()
    storing = asyncio.create_task(keeper.run())
    longest_s = 0.0

    async def keeps(path: Path, cycle: int) -> None:
        nonlocal longest_s
        began_s = time.monotonic()
        state_file.put({"cycle": {"seq": cycle}})
        keeper.put(Batch(60 * cycle, 60))
        await asyncio.sleep(0)
        longest_s = max(longest_s, time.monotonic() - began_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("controller.runtime.state_file.replace_file", lambda *_: hang())
        assert await decided(tmp_path / "b", keeps, recorder.taping(step)) == alone
        assert blocked.is_set()
        assert keeper.stored == 0
        assert state_file.unkept(0.0) == "the disk has not taken it within 0 s"
        free.set()
        state_file.close()
    storing.cancel()
    await asyncio.gather(storing, return_exceptions=True)
    await keeper.aclose()
    recorder.close()
    assert longest_s < 1.0  # a cycle of the site
    assert keeper.stored == CYCLES
    assert recorder.dropped >= CYCLES - 5  # what waits is bounded


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def station(folder: Path) -> subprocess.Popen[bytes]:
    options = ["--record-socket", str(folder / "records"), "--data", str(folder / "data"), "--period", "20"]
    with (folder / "station.log").open("ab") as log:
        run = "from controller.history.command import station; station()"
        return subprocess.Popen([sys.executable, "-c", run, SITE, *options], stdout=log, stderr=log)


def stored(folder: Path) -> int:
    """Periods on the disk."""
    with (
        contextlib.suppress(ValueError, sqlite3.OperationalError),
        contextlib.closing(open_to_read(folder / "data")) as db,
    ):
        return int(db.execute("SELECT count(*) FROM period").fetchone()[0])
    return 0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s, what
        time.sleep(0.05)


def test_in_service_a_stopped_and_a_killed_station_process_leave_the_decisions_what_they_are(field: Bench) -> None:
    """Every cycle of the real control process comes out the same when it is thought again without any station."""
    field.simulate()
    field.truth()
    control = field.run("--record", str(field.folder / "day.jsonl.gz"))
    first = station(field.folder)
    try:
        wait_for(lambda: stored(field.folder) >= 1, "the first period")
        first.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        first.send_signal(signal.SIGCONT)
        end(first, signal.SIGKILL)
        before = stored(field.folder)
        second = station(field.folder)
        wait_for(lambda: stored(field.folder) > before, "a period after the kill")
        assert end(second, signal.SIGTERM) == 0
    finally:
        first.kill()
        first.wait(PATIENCE_S)
    assert control.poll() is None
    assert end(control, signal.SIGTERM) == 0
    result = CliRunner().invoke(replay_command, [str(field.folder / "day.jsonl.gz")])
    assert "cycles, identical" in result.output, result.output
    with contextlib.closing(open_to_read(field.folder / "data")) as db:
        assert verify(curtailments(db)).fault == ""
        rows = db.execute("SELECT body FROM outbox WHERE topic = 'gaps'").fetchall()
        assert rows
        assert db.execute("SELECT count(*) FROM sample").fetchone()[0] > 0
    assert "history.closed" in (field.folder / "station.log").read_text()


def test_a_dozen_kills_lose_nothing_and_double_nothing() -> None:
    """A thousand are a matter of minutes: `python benchmarks/history_kills.py`."""
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "history_kills.py"
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "12"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost, 0 doubled" in done.stdout
