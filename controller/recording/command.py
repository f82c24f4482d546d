"""``gridedge replay``: think every recorded cycle again and compare, or explain what was decided."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import click

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.tuning import Tuning
from controller.domain.record import CycleRecord
from controller.readable_errors import readable_errors
from controller.recording.explain import Account, explained
from controller.recording.format import Header, this_machine
from controller.recording.reader import Item, read
from controller.recording.replay import Change, Note, Replayed, from_second, replay

_ALL = "*"
_VALUES_PER_CYCLE = 6


@click.command(name="replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--from", "from_text", metavar="T", help="First cycle: site seconds, or a UTC time (HH:MM[:SS], ISO 8601)."
)
@click.option("--to", "to_text", metavar="T", help="Last cycle, the same way.")
@click.option(
    "--explain", is_flag=False, flag_value=_ALL, metavar="[LIMIT|UNIT]",
    help="Say cycle by cycle which limit bound, who moved and what it cost; of one limit or unit only, if named.",
)  # fmt: skip
@click.option("--tuning", multiple=True, metavar="KEY=VALUE", help="Another number of the law; may be repeated.")
@click.option("--site", "site_name", help="Another site file in place of the recorded one.")
@click.option("--show", type=click.IntRange(min=0), default=10, show_default=True, help="Differing cycles to show.")
def replay_command(
    file: Path,
    *,
    from_text: str | None,
    to_text: str | None,
    explain: str | None,
    tuning: tuple[str, ...],
    site_name: str | None,
    show: int,
) -> None:
    """Think every cycle in FILE (a recording, or a folder of them) again with this version and compare bit by bit.

    Exit status 0: every cycle came out identical. 1: some did not, or the recording cannot be used. The field in a
    recording does not answer to other set points: with --tuning or --site the differences say what the controller
    would have said to the same readings.
    """
    with readable_errors():
        change = Change(load_site(find_site(site_name)) if site_name else None, _tuning(tuning))
        span = _Span.of(read(file), from_text, to_text)
        told = _Telling(span, explain, show, account=Account("" if explain in (None, _ALL) else explain))
        for result in replay(span.items(read(file)), change):
            if not told.tell(result):
                break
        sys.exit(told.conclude(change))


@dataclass(frozen=True, slots=True)
class _Span:
    """From when to when, in site seconds, and the label of site second 0."""

    from_s: float
    to_s: float

    @staticmethod
    def of(items: Iterator[Item], from_text: str | None, to_text: str | None) -> _Span:
        if from_text is None and to_text is None:
            return _Span(-math.inf, math.inf)
        header = next((item for item in items if isinstance(item, Header)), None)
        return _Span(
            -math.inf if from_text is None else _instant_s(from_text, header, "--from"),
            math.inf if to_text is None else _instant_s(to_text, header, "--to"),
        )

    def items(self, items: Iterator[Item]) -> Iterator[Item]:
        return items if self.from_s == -math.inf else from_second(items, self.from_s)


def _instant_s(text: str, header: Header | None, option: str) -> float:
    """Site seconds of ``text``; a time without a date is the first such time after the recording's beginning."""
    with suppress(ValueError):
        if math.isfinite(seconds := float(text)):
            return seconds
    began_utc, began_s = _label(header, option)
    try:
        return began_s + (_asked(text, began_utc) - began_utc).total_seconds()
    except ValueError:
        raise ValueError(f"{option} is {text!r}; expected site seconds, HH:MM[:SS] or an ISO 8601 time, UTC") from None


def _asked(text: str, began_utc: datetime) -> datetime:
    if "T" in text or "-" in text:
        asked = datetime.fromisoformat(text)
        return asked if asked.tzinfo is not None else asked.replace(tzinfo=UTC)
    asked = datetime.combine(began_utc.date(), time.fromisoformat(text), UTC)
    return asked + timedelta(days=1) if asked < began_utc.replace(microsecond=0) else asked


def _label(header: Header | None, option: str) -> tuple[datetime, float]:
    if header is None or not header.utc:
        raise ValueError(f"{option} is a time of day, but the recording knows none; expected site seconds")
    return datetime.fromisoformat(header.utc), header.now_s


@dataclass
class _Telling:
    """Prints results as they come and counts them."""

    span: _Span
    explain: str | None
    show: int
    cycles: int = 0
    differing: int = 0
    notes: int = 0
    header: Header | None = None
    before: CycleRecord | None = None
    account: Account = field(default_factory=Account)

    def tell(self, result: Header | Replayed | Note) -> bool:
        """False when nothing that comes later is wanted."""
        if isinstance(result, Header):
            self._introduce(result)
        elif isinstance(result, Note):
            self.notes += 1
            click.echo(f"note: {result.text}")
        elif result.now_s > self.span.to_s:
            return False
        else:
            if result.now_s >= self.span.from_s:
                self._cycle(result)
            self.before = result.record
        return True

    def conclude(self, change: Change) -> int:
        """The last words and the exit status."""
        if self.explain is not None:
            click.echo("in all:")
            click.echo("\n".join(f"  {line}" for line in self.account.lines()) or "  nothing was given up")
        if not self.cycles:
            raise ValueError("no cycle to replay; expected a recording that reaches into the asked time")
        if not self.differing:
            click.echo(f"{self.cycles} cycles, identical")
            return 0
        why = " (something was changed on purpose)" if change.any else ""
        click.echo(f"{self.cycles} cycles, {self.differing} differ{why}")
        return 1

    def _introduce(self, header: Header) -> None:
        same_before = self.header is not None and self.header.site_sha256 == header.site_sha256
        self.header = header
        if same_before:
            return
        when = f", from {header.utc}" if header.utc else ""
        click.echo(f"{header.site.name}, recorded by gridedge {header.gridedge}{when}, site {header.site_sha256[:12]}")
        here = this_machine()
        other = [f"{key} {value}" for key, value in header.machine.items() if here.get(key) != value]
        if other:
            click.echo(f"note: recorded with {', '.join(other)}; last digits may differ here")

    def _cycle(self, result: Replayed) -> None:
        self.cycles += 1
        self.account.add(result.record)
        if self.explain is not None:
            subject = "" if self.explain == _ALL else self.explain
            lines = explained(result.record, self.before, subject)
            if lines:
                click.echo("\n".join([self._when(result), *(f"  {line}" for line in lines)]))
        if result.differences:
            self.differing += 1
            if self.differing <= self.show:
                self._differences(result)

    def _differences(self, result: Replayed) -> None:
        shown, more = result.differences[:_VALUES_PER_CYCLE], len(result.differences) - _VALUES_PER_CYCLE
        lines = [f"{self._when(result)} differs", *(f"  {d.text}" for d in shown)]
        click.echo("\n".join(lines + ([f"  and {more} more values"] if more > 0 else [])))

    def _when(self, result: Replayed) -> str:
        label = ""
        if self.header is not None and self.header.utc:
            at = datetime.fromisoformat(self.header.utc) + timedelta(seconds=result.now_s - self.header.now_s)
            label = f" ({at:%Y-%m-%d %H:%M:%S})"
        return f"cycle {result.record.seq} at {result.now_s:.1f} s{label}"


def _tuning(changes: tuple[str, ...]) -> dict[str, float]:
    """The numbers that shall be others than recorded. Raises ValueError."""
    known = {f.name for f in fields(Tuning)}
    values: dict[str, float] = {}
    for change in changes:
        key, _, text = change.partition("=")
        if key not in known:
            raise ValueError(f"--tuning {change}: no number {key!r}; expected one of {', '.join(sorted(known))}")
        try:
            values[key] = float(text)
        except ValueError:
            raise ValueError(f"--tuning {change}: {text!r} is no number; expected KEY=VALUE") from None
        if not math.isfinite(values[key]):
            raise ValueError(f"--tuning {change}: expected a finite number")
    return values
