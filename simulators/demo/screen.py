"""Ways to look at the day: a live screen, a line per hour, a picture in a file."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from simulators.demo.day import Day
from simulators.demo.hour_line import hour_line
from simulators.demo.session import Look
from simulators.demo.svg import SVG_FORMAT
from simulators.demo.view import picture

SNAPSHOT_WIDTH, SNAPSHOT_HEIGHT = 120, 60


class LiveScreen:
    """The whole terminal while the context lasts; ``gone`` is called when the terminal has been closed."""

    def __init__(self, console: Console, gone: Callable[[int], None]) -> None:
        self._console = console
        self._gone = gone
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._live.stop()
        except OSError:
            self._gone(signal.SIGHUP)

    def look(self, day: Day, t_s: float) -> None:
        """Draw; a closed terminal ends the run like a hang-up."""
        size = self._console.size
        try:
            self._live.update(picture(day, t_s, size.width, size.height), refresh=True)
        except OSError:
            self._gone(signal.SIGHUP)


class HourLines:
    """One line per hour of the site, for scripts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._hour = -1

    def look(self, day: Day, t_s: float) -> None:
        """Print when an hour of the clock has begun since the last look."""
        hour = int((day.setting.start_s + day.course.t_s) // 3600.0)
        if day.course.newest is not None and hour != self._hour:
            self._hour = hour
            self._console.print(Text(hour_line(day)), soft_wrap=True)


class Snapshot:
    """Writes the picture to ``path`` once, at site second ``at_s``."""

    def __init__(self, path: Path, at_s: float) -> None:
        self._path = path
        self._at_s = at_s
        self.taken = False

    def look(self, day: Day, t_s: float) -> None:
        """Write when it is time."""
        if not self.taken and day.course.t_s >= self._at_s:
            self.taken = True
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(svg(day, day.course.t_s), encoding="utf-8")


def svg(day: Day, t_s: float) -> str:
    """The picture as SVG, without anything from the network."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(
            record=True, width=SNAPSHOT_WIDTH, height=SNAPSHOT_HEIGHT, file=nowhere, force_terminal=True,
            color_system="truecolor", legacy_windows=False,
        )  # fmt: skip
        console.print(picture(day, t_s, SNAPSHOT_WIDTH, SNAPSHOT_HEIGHT))
        return console.export_svg(title="gridedge demo", code_format=SVG_FORMAT)


def all_of(looks: list[Look]) -> Look:
    """One look that does them all."""

    def look(day: Day, t_s: float) -> None:
        for each in looks:
            each(day, t_s)

    return look
