"""From published records, cycle by cycle, to closed periods. No clock: time is what the records say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.history.batch import ESTIMATED, REPORTED, Batch, Curtailment, Gap, Happening, Sample

Json = Mapping[str, Any]

PERIOD_S = 60
UNIT_FIELDS = ("p_w", "q_var", "p_avail_w", "p_set_w", "q_set_var", "curtailed_w", "soc_frac")
SUPPORT_FIELDS = ("q_var", "asked_var", "tolerance_var", "before_var", "reached_var")
BUS_FIELDS = ("p_w", "q_var")
FACTS = (
    "top_oil_c",
    "hot_spot_c",
    "rise_fast_k",
    "rise_slow_k",
    "ambient_c",
    "hot_spot_c_max",
    "proven",
    "ageing_rate",
)
"""What is kept of the numbers behind a limit: how warm its transformer is."""
LIMIT_FIELDS = ("value", "worst", "high", "low", "loading_frac", "worst_frac", "given_up_w")


class BadRecord(ValueError):
    """A line that is no record of this program; says what is wrong."""


class Collector:
    """Takes records in the order in which they were published; gives a :class:`Batch` for every period that ended.

    A record of another period, later or earlier (the clock was set back), closes the open one. ``known_until_s`` is
    how far an earlier run got (UTC seconds since 1970): what lies between it and the first record is a gap.
    """

    def __init__(self, period_s: int = PERIOD_S, known_until_s: float | None = None) -> None:
        self._period_s = period_s
        self._known_until_s = known_until_s
        self._last: _Instant | None = None
        self._open: _Period | None = None

    def take(self, record: Json) -> Batch | None:
        """The period that this record closed, if any. Raises BadRecord."""
        now = _instant(record)
        if self._last is not None and now.seq == self._last.seq:
            return None
        start_s = int(now.utc_s // self._period_s) * self._period_s
        closed = None
        if self._open is None or self._open.start_s != start_s:
            closed, self._open = self.close(), _Period(start_s, self._period_s)
        gap = self._gap_before(now)
        lasted_s = 0.0
        if gap is not None:
            self._open.gaps.append(gap)
        elif self._last is not None:
            lasted_s = max(now.now_s - self._last.now_s, 0.0)
        self._open.take(record, now.utc_s, lasted_s)
        self._last = now
        return closed

    def close(self) -> Batch | None:
        """The open period as it is; None when there is none."""
        period, self._open = self._open, None
        return None if period is None else period.batch()

    def _gap_before(self, now: _Instant) -> Gap | None:
        last = self._last
        if last is None:
            since_s = self._known_until_s
            missing = since_s is not None and now.utc_s - since_s > self._period_s
            return Gap(since_s, now.utc_s, 0, "nobody listened") if missing and since_s is not None else None
        if now.seq == last.seq + 1:
            return None
        if now.seq < last.seq:
            return Gap(last.utc_s, now.utc_s, 0, "the control process began anew")
        return Gap(last.utc_s, now.utc_s, now.seq - last.seq - 1, "the station did not keep up")


@dataclass(frozen=True, slots=True)
class _Instant:
    seq: int
    now_s: float
    utc_s: float


def _instant(record: Json) -> _Instant:
    try:
        utc_s = datetime.fromisoformat(record["utc"]).timestamp()
        out = _Instant(int(record["seq"]), float(record["now_s"]), utc_s)
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(f"{type(error).__name__}: {error}; expected a record with seq, now_s and utc") from error
    if not math.isfinite(out.now_s):
        raise BadRecord(f"now_s is {out.now_s}; expected a finite number")
    return out


class _Period:
    """One period while it lasts."""

    def __init__(self, start_s: int, period_s: int) -> None:
        self.start_s = start_s
        self.gaps: list[Gap] = []
        self._period_s = period_s
        self._samples: dict[str, _Running] = {}
        self._happenings: list[Happening] = []
        self._given_up: dict[tuple[str, str, str], _GivenUp] = {}

    def take(self, record: Json, utc_s: float, lasted_s: float) -> None:
        try:
            for point, value in _values(record):
                self._samples.setdefault(point, _Running()).add(value)
            self._happenings += [Happening(utc_s, e["name"], e["subject"], e["text"]) for e in record["events"]]
            self._book(record, lasted_s)
        except (KeyError, TypeError, AttributeError) as error:
            raise BadRecord(f"{type(error).__name__}: {error}; expected a record with limits, units, events") from error

    def batch(self) -> Batch:
        samples = tuple(running.sample(point) for point, running in self._samples.items())
        booked = tuple(given.curtailment(*key) for key, given in self._given_up.items() if given.energy_ws > 0.0)
        return Batch(self.start_s, self._period_s, samples, tuple(self._happenings), booked, tuple(self.gaps))

    def _book(self, record: Json, lasted_s: float) -> None:
        loading = {limit["id"]: limit["loading_frac"] for limit in record["limits"]}
        for unit in record["units"]:
            basis = REPORTED if _is_number(unit.get("p_avail_w")) else ESTIMATED
            for part in unit.get("withheld", ()):
                given = self._given_up.setdefault((unit["id"], part["cause"], basis), _GivenUp())
                given.add(part["w"], lasted_s, loading.get(part["cause"]))
                given.principle, given.rank = record.get("principle", ""), int(unit.get("rank", 0))


def _values(record: Json) -> Iterator[tuple[str, float]]:
    """Every number of the record that is one, under the name of its point."""
    found = (("unit", UNIT_FIELDS, record["units"]), ("limit", LIMIT_FIELDS, record["limits"]))
    for kind, fields, items in (*found, ("bus", BUS_FIELDS, record.get("buses", ()))):
        for item in items:
            for field in fields:
                value = item.get(field)
                if _is_number(value):
                    yield f"{kind}.{item['id']}.{field}", float(value)
    for limit in record["limits"]:
        facts = limit.get("facts") or {}
        known = [fact for fact in FACTS if _is_number(facts.get(fact))]
        yield from ((f"limit.{limit['id']}.{fact}", float(facts[fact])) for fact in known)
    support = record.get("support") or {}
    for field in SUPPORT_FIELDS:
        if _is_number(support.get(field)):
            yield f"support.{field}", float(support[field])
    for point, value in (record.get("hubs") or {}).items():
        if _is_number(value):
            yield point, float(value)
    if _is_number(record.get("given_up_w")):
        yield "site.given_up_w", float(record["given_up_w"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class _Running:
    """Mean and range so far."""

    __slots__ = ("_high", "_low", "_n", "_sum")

    def __init__(self) -> None:
        self._n, self._sum, self._low, self._high = 0, 0.0, math.inf, -math.inf

    def add(self, value: float) -> None:
        self._n += 1
        self._sum += value
        self._low, self._high = min(self._low, value), max(self._high, value)

    def sample(self, point: str) -> Sample:
        return Sample(point, self._n, self._sum / self._n, self._low, self._high)


@dataclass
class _GivenUp:
    """One unit and one cause so far."""

    principle: str = ""
    rank: int = 0
    energy_ws: float = 0.0
    most_w: float = 0.0
    lasted_s: float = 0.0
    loading_frac: float = math.nan

    def add(self, given_up_w: float, lasted_s: float, loading_frac: float | None) -> None:
        self.energy_ws += given_up_w * lasted_s
        self.most_w = max(self.most_w, given_up_w)
        self.lasted_s += lasted_s
        if loading_frac is not None and not self.loading_frac >= loading_frac:
            self.loading_frac = loading_frac

    def curtailment(self, unit: str, cause: str, basis: str) -> Curtailment:
        energy_wh = self.energy_ws / 3600.0
        return Curtailment(
            unit, cause, self.principle, self.rank, energy_wh, self.most_w, self.lasted_s, self.loading_frac, basis
        )
