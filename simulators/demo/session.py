"""One run of the demo: starts the processes, reads what they say, ends them. Nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.demo.box import Part
from simulators.demo.children import Child, ChildDied
from simulators.demo.counterparts import Counterparts, PlatformPlug, platform_arguments
from simulators.demo.day import Day
from simulators.demo.feed import LAST_WORDS_S, Feed, Take, cancelled_at_end, connect, reading
from simulators.demo.outside import Outside
from simulators.demo.past import prepare
from simulators.demo.past_weather import foretell_past
from simulators.demo.plugs import PLUGS, Plug, Plugs
from simulators.demo.setting import Setting
from simulators.demo.trade import Trade
from simulators.demo.words import clock

REFRESH_S = 0.25
"""Machine time between two looks at the day."""

_FOLDER_BYTES_MAX = 70
_TIME_PAGE = "time"  # in the folder of the sockets; the simulator makes it

WARM = {"station": ("controller.history.command", "controller.balancing.uftp.link"), "controller": ("controller.app",)}
"""What the processes load that wait for their command line."""

Look = Callable[[Day, float], None]
"""Shows the day; gets the site second."""
Reading = asyncio.Task[None]


class Stop:
    """Which signal asked for the end, if any."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.number = 0

    def ask(self, number: int) -> None:
        """Remember the first signal; more of them change nothing, the end is on its way."""
        self.number = self.number or number
        self.asked.set()

    @property
    def status(self) -> int:
        """Exit status as shells count: 0 without a signal, else 128 and its number."""
        return 128 + self.number if self.number else 0


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """SIGINT, SIGTERM and SIGHUP ask for the end while the context lasts."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.ask, int(number))
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class Session:
    """``logs`` is the folder for what the children print and what the outside saw; ``look`` is called about four times
    a second.
    """

    def __init__(self, setting: Setting, logs: Path, look: Look) -> None:
        self.day = Day(setting)
        self._setting = setting
        self._logs = logs
        self._look = look
        self._taking = True
        self._trading: asyncio.Task[None] | None = None
        self._trade = Trade(self.day, setting.trades) if setting.has_market and not setting.uftp else None
        self._counterparts = Counterparts(self.day) if setting.uftp else None
        self._warm: dict[str, Child] = {}
        self._outside: Outside | None = None
        self._box: list[Part] = []
        self._plugs: list[Plug] = []

    def market(self) -> dict[str, Any] | None:
        """What was bought, JSON-ready; None where there is no market."""
        told = self._trade or self._counterparts
        return None if told is None else told.report()

    async def run(self, stop: Stop) -> None:
        """Live through the day, or until somebody asks to stop.

        Raises :class:`ChildDied` when a process ended that should not have; no child is left in any case.
        """
        async with AsyncExitStack() as opened:
            sockets = opened.enter_context(_socket_folder())
            setting = self._setting
            self._outside = opened.enter_context(Outside(self._logs, setting.site, setting.began_utc))
            watched = await self._other_side(opened, sockets, stop)
            # The controller comes second, so that it finds a field; it is ended first, while the field still listens.
            watched.append(await self._simulator(opened, sockets / "status", stop))
            await self._check(watched)
            if self._setting.controlled and not stop.asked.is_set():
                await self._station(opened, sockets, stop)
                await self._controller(opened, sockets, stop)
                self._open_market(opened, sockets / "platform")
                await opened.enter_async_context(Plugs([*self._box, *self._plugs]).listening(sockets / PLUGS))
            other = await self._other_world(opened) if self._setting.compared else None
            while not self.day.course.over and not stop.asked.is_set():
                self._show()
                await _pause(stop)
                await self._check(watched)
                await self._mind_the_box(opened)
            self._taking = False
            while other is not None and self._waits_for(other) and not stop.asked.is_set():
                await _pause(stop)
            self._show()

    async def _simulator(self, opened: AsyncExitStack, path: Path, stop: Stop) -> _Watched:
        child = await self._started(opened, "simulator", simulator_arguments(self._setting, path))
        feed = await connect(path, lambda: child.running and not stop.asked.is_set())
        return _Watched(child, None if feed is None else reading(opened, feed, self._take_status))

    async def _other_side(self, opened: AsyncExitStack, sockets: Path, stop: Stop) -> list[_Watched]:
        """Platform and participants, where the station trades with them, and meanwhile a past for its forecast."""
        if self._counterparts is None:
            return []
        folder = sockets / "counterparts"
        folder.mkdir()
        arguments = platform_arguments(self._setting, folder, sockets / "status", sockets / _TIME_PAGE)
        log = self._logs / "platform.log"
        child = await Child.start("platform", "simulators.platform.day", arguments, log, piped=True, waits=True)
        opened.push_async_callback(child.end)
        self._plugs.append(PlatformPlug(self.day, child.say))
        assert child.process.stdout is not None
        watched = _Watched(child, reading(opened, Feed(child.process.stdout), self._take_party))
        await self._warm_up(opened)
        await asyncio.to_thread(self._make_past, self._data(sockets))
        while not self._counterparts.ready and not stop.asked.is_set():
            await self._check([watched])
            await _pause(stop)
        return [watched]

    def _make_past(self, folder: Path) -> None:
        """A history for the station, and what was foretold in it; one that is there stays as it is."""
        setting = self._setting
        scenario, seed, began_utc = setting.scenario, setting.seed, setting.began_utc
        if prepare(folder, setting.site, scenario, seed, began_utc):
            foretell_past(folder, scenario, seed, setting.site.timezone, began_utc)

    async def _warm_up(self, opened: AsyncExitStack) -> None:
        """Station and controller load what they need while nobody needs them yet."""
        for name, modules in WARM.items():
            self._warm[name] = child = await Child.warm(name, modules, self._logs / f"{name}.log")
            opened.push_async_callback(child.end)

    def _data(self, sockets: Path) -> Path:
        """Folder of the station: the one asked for, or one that nobody keeps."""
        return self._setting.data or sockets / "data"

    def _site(self) -> Path:
        """The site file that controller and station read."""
        return self._setting.path if self._counterparts is None else self._counterparts.site

    async def _controller(self, opened: AsyncExitStack, sockets: Path, stop: Stop) -> None:
        records = sockets / "records"
        arguments = controller_arguments(self._setting, self._site(), records, sockets / "platform")
        await self._part(opened, "controller", arguments, stop, (records, self._take_record))

    async def _station(self, opened: AsyncExitStack, sockets: Path, stop: Stop) -> None:
        """The station process, where it is wanted; it waits for the controller, so as to miss little."""
        if self._setting.data is not None or self._counterparts is not None:
            arguments = station_arguments(self._setting, self._site(), sockets, self._data(sockets))
            await self._part(opened, "station", arguments, stop)

    async def _part(
        self,
        opened: AsyncExitStack,
        name: str,
        arguments: Sequence[str],
        stop: Stop,
        records: tuple[Path, Take] | None = None,
    ) -> None:
        part = Part(name, self.day, arguments, WARM[name], self._logs / f"{name}.log", records)
        self._box.append(part)
        await part.begin(opened, await self._started(opened, name, arguments), lambda: not stop.asked.is_set())

    async def _mind_the_box(self, opened: AsyncExitStack) -> None:
        """Whoever of the box has died is started again."""
        for part in self._box:
            if not self.day.course.over:
                await part.look(opened)

    async def _started(self, opened: AsyncExitStack, name: str, arguments: Sequence[str]) -> Child:
        """The process of that name: the one that waits for its command line, or a new one."""
        if name in self._warm:
            child = self._warm[name]
            child.tell(arguments)
        else:
            child = await Child.start(name, "controller", arguments, self._logs / f"{name}.log")
        opened.push_async_callback(child.end)  # of a warm one too: it ends before what was started since
        return child

    def _open_market(self, opened: AsyncExitStack, platform: Path) -> None:
        """The auctions, where the demo itself holds them."""
        if self._trade is not None:
            self._trading = cancelled_at_end(opened, self._trade.run(platform))

    async def _other_world(self, opened: AsyncExitStack) -> Child:
        setting = self._setting
        arguments = [str(setting.path), str(setting.seed), str(setting.start_s), str(setting.duration_s)]
        log = self._logs / "uncontrolled.log"
        child = await Child.start("uncontrolled world", "simulators.demo.other_world", arguments, log, piped=True)
        opened.push_async_callback(child.end)
        if child.process.stdout is not None:
            reading(opened, Feed(child.process.stdout), self.day.uncontrolled.take)
        return child

    async def _check(self, watched: Sequence[_Watched]) -> None:
        """Raise what a reader or the desk raised, or :class:`ChildDied` when a process ended before the day did."""
        for child, read in ((each.child, each.reading) for each in watched):
            hung_up = read is not None and read.done()
            if child.running and not hung_up:
                continue
            if read is not None:
                await asyncio.wait((read,), timeout=LAST_WORDS_S)
                if read.done():
                    read.result()
            if not self.day.course.over:
                await child.gone(LAST_WORDS_S)
                raise ChildDied(child.obituary())
        if self._trading is not None and self._trading.done() and not self.day.course.over:
            self._trading.result()

    def _waits_for(self, other: Child) -> bool:
        return other.running and self.day.uncontrolled.t_s < self.day.course.t_s

    def _take_party(self, line: dict[str, Any]) -> None:
        if self._outside is not None and self._counterparts is not None:
            self._outside.party(line)
            self._counterparts.take(line)

    def _take_status(self, line: dict[str, Any]) -> None:
        if self._taking and self._outside is not None:
            self._outside.plant(line)
            self.day.take_status(line, _machine_s())

    def _take_record(self, line: dict[str, Any]) -> None:
        if self._taking and not self.day.course.over:
            self.day.take_record(line, _machine_s())

    def _show(self) -> None:
        self._look(self.day, self.day.site_s(_machine_s()))


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """A folder for Unix sockets, whose names have at most 107 bytes (unix(7)): a deep TMPDIR is passed over."""
    deep = len(os.fsencode(tempfile.gettempdir())) > _FOLDER_BYTES_MAX
    with tempfile.TemporaryDirectory(prefix="gridedge-demo-", dir="/tmp" if deep else None) as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A process that must go on, and the task that reads what it says (None when it never listened)."""

    child: Child
    reading: Reading | None


def simulator_arguments(setting: Setting, status: Path) -> list[str]:
    """Command line of the simulated substation, after ``python -m controller``."""
    hours = setting.duration_s / 3600.0
    return [
        *("simulate", str(setting.path), "--speed", f"{setting.speed:g}", "--seed", str(setting.seed)),
        *("--duration", repr(hours), "--start", clock(setting.start_s), "--status-socket", str(status)),
        "--linger",
        *("--port-offset", str(setting.port_offset), "--time-page", str(status.with_name(_TIME_PAGE))),
        *(word for name in _expected(setting) for word in ("--expect", name)),
        *(() if setting.controlled else ("--no-control",)),
    ]


def _expected(setting: Setting) -> list[str]:
    """Who goes by the simulator's time."""
    if not setting.controlled:
        return []
    keeps = setting.data is not None or setting.uftp
    return ["controller", *(["station"] if keeps else []), *(["platform"] if setting.uftp else [])]


def station_arguments(setting: Setting, site: Path, sockets: Path, data: Path) -> list[str]:
    """Command line of the station process, after ``python -m controller``."""
    arguments = ["station", str(site), "--record-socket", str(sockets / "records"), "--data", str(data)]
    arguments += ["--time-page", str(sockets / _TIME_PAGE)]
    if setting.uftp:
        arguments += ["--platform-socket", str(sockets / "platform"), "--speed", f"{setting.speed:g}"]
        arguments += ["--start-utc", setting.began_utc.strftime("%Y-%m-%dT%H:%M:%SZ")]
    return arguments


def controller_arguments(setting: Setting, site: Path, records: Path, platform: Path) -> list[str]:
    """Command line of the controller, after ``python -m controller``."""
    return [
        *("run", str(site), "--speed", f"{setting.speed:g}", "--cycle-ms", f"{setting.cycle_ms:g}"),
        *("--record-socket", str(records), "--port-offset", str(setting.port_offset)),
        *("--time-page", str(records.with_name(_TIME_PAGE))),
        *("--start-utc", setting.began_utc.strftime("%Y-%m-%dT%H:%M:%SZ")),
        *("--state", str(records.with_name("state"))),
        *(("--platform-socket", str(platform)) if setting.has_market else ()),
        *(() if setting.record is None else ("--record", str(setting.record))),
    ]


async def _pause(stop: Stop) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(REFRESH_S):
            await stop.asked.wait()


def _machine_s() -> float:
    return asyncio.get_running_loop().time()
