"""What the national market activates is delivered once and settled, whenever the station dies; and nothing else is."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from national_kit import HOUR_S, Desk, Place, kit, local_place
from structlog.testing import capture_logs

from controller import durable, durable_file
from controller.balancing.https import LinkError
from controller.balancing.ledger import Ledger
from controller.balancing.national import client, delivery
from controller.balancing.national.sales import read_sales
from controller.clock import utc_s
from controller.domain.instruction import Action
from controller.history.batch import Batch, Sample
from controller.history.store import Store
from simulators.platform.http_server import Request

Q = 900.0
PERIOD_S = 300


class Killed(BaseException):
    """The station is no more."""


def local(folder: Path, monkeypatch: pytest.MonkeyPatch, desk: Desk | None = None) -> Place:
    """The desk is asked without a wire in between; a request that it does not answer with 200 fails."""
    folder.mkdir(exist_ok=True)
    one = local_place(folder, desk)

    async def exchange(_tender: object, method: str, url: str, document: str | None, _request_s: float) -> bytes:
        headers = {"authorization": one.desk._login}
        request = Request(method, url.removeprefix("https://desk"), {}, headers, (document or "").encode())
        answer = one.desk._handle(request)
        if answer.status != 200:
            raise LinkError(f"the desk answers {answer.status}")
        return answer.body

    monkeypatch.setattr(client, "_exchange", exchange)
    return one


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return local(tmp_path, monkeypatch)


@dataclass
class Evening:
    """An accepted bid for 18:00 to 18:30, and a station that is begun anew whenever it was killed."""

    place: Place
    bid: str = ""
    begins_utc_s: float = 0.0
    deaths: int = 0
    record: Mapping[str, Any] = field(default_factory=kit.seller_record)

    async def sell(self) -> None:
        async with self.place.station() as one:
            await one.look()
        ((self.bid, offered),) = self.place.desk.bids.items()
        self.begins_utc_s = offered["from_utc_s"]

    def activate(self, direction: str = "up", w: tuple[float, ...] = (3e5, 2e5), first: int = 0, **more: Any) -> str:
        begin = self.begins_utc_s + first * Q
        periods = [(begin + k * Q, begin + (k + 1) * Q, x) for k, x in enumerate(w)]
        return self.place.desk.activate(self.bid, direction, periods, **more)

    def move_to(self, after_s: float) -> None:
        """So long after the window has begun."""
        self.place.clock.advance(self.begins_utc_s + after_s - utc_s(self.place.clock))

    async def step(self) -> None:
        """The station looks at everything once; as often as it is killed, another one does."""
        while True:
            try:
                async with self.place.station(self.record) as one:
                    await one.poll()
                    await one.order()
            except Killed:
                self.deaths += 1
                continue
            return

    def measured(self, *w: float) -> None:
        """The history: so much of the battery in each period."""
        with closing(Store(self.place.folder, self.place.site.name)) as store:
            for k in range(round(len(w) * Q / PERIOD_S)):
                start_s, p_w = int(self.begins_utc_s) + k * PERIOD_S, w[int(k * PERIOD_S // Q)]
                store.append(Batch(start_s, PERIOD_S, (Sample("unit.BAT.p_w", 1, p_w, p_w, p_w),)))

    def verdicts(self) -> list[tuple[str, str, str]]:
        with closing(Ledger(self.place.folder / "national")) as kept:
            assert kept.fault() == ""
            entries = [entry for entry, _ in kept.entries()]
        return [(e.command, e.verdict, e.reason) for e in entries if e.verdict in ("accepted", "refused")]


@pytest.fixture
async def evening(place: Place) -> Evening:
    one = Evening(place)
    await one.sell()
    one.move_to(-300.0)
    return one


async def whole_evening(evening: Evening) -> str:
    """From the activation to the settlement."""
    evening.measured(-3e5, -1e5)
    name = evening.activate()
    await evening.step()
    for after_s in (1.0, Q + 1.0, 2 * Q + 1.0):
        evening.move_to(after_s)
        await evening.step()
    return name


async def test_an_activation_is_taken_delivered_in_its_periods_measured_and_settled(evening: Evening) -> None:
    with capture_logs() as told:
        name = await whole_evening(evening)
    desk, port = evening.place.desk, evening.place.port
    assert desk.taken[name]["taken"] is True
    assert [p["w"] for p in desk.taken[name]["periods"]] == [300_000, 200_000]
    assert port.course == [("BAT", -3e5), ("BAT", -2e5)]
    assert port.holds == {}
    orders = [x for x in port.heard if x.action is Action.OVERRIDE]
    assert {x.issuer for x in orders} == {"tso:national"}
    assert all(x.issued_utc_s + x.lasts_s <= evening.begins_utc_s + 2 * Q for x in orders)
    settled = desk.settled[name]
    assert [p["delivered_w"] for p in settled["periods"]] == [-3e5, -1e5]
    assert [p["deficiency_w"] for p in settled["periods"]] == [0.0, 1e5]
    price = desk.bids[evening.bid]["price_eur_per_mwh"]
    assert settled["paid_eur"] == pytest.approx(price * 0.4 * 0.25)
    assert settled["penalty_eur"] == pytest.approx(price * 0.1 * 0.25)
    assert [e["event"] for e in told] == ["national.activated", "national.settled"]
    (sale,) = read_sales(evening.place.folder, evening.begins_utc_s, evening.begins_utc_s + 1.0)
    (one,) = sale.activations
    assert (sale.fate, one.direction, one.asked_wh, one.taken_wh) == ("accepted", "up", 125e3, 125e3)
    assert (one.delivered_wh, one.deficiency_wh) == (100e3, 25e3)
    assert sale.earned_eur == pytest.approx(price * (0.1 - 0.025))
    assert read_sales(evening.place.folder, evening.begins_utc_s + HOUR_S, evening.begins_utc_s + 2 * HOUR_S) == ()


async def test_the_report_shows_what_waits_and_what_was_turned_down_and_passes_over_what_cannot_be_read(
    evening: Evening,
) -> None:
    late, waits = evening.activate(w=(1e5,), expires_s=0.0), evening.activate(w=(1e5,))
    evening.activate(direction="sideways")
    await evening.step()
    (sale,) = read_sales(evening.place.folder, 0.0, 4e9)
    turned_down, taken = sale.activations
    assert (turned_down.id, turned_down.taken_wh) == (late, 0.0)
    assert turned_down.reason.startswith("expired")
    assert (taken.id, taken.taken_wh, taken.delivered_wh, taken.earned_eur) == (waits, 25e3, None, None)


@contextmanager
def killed_before_commit(number: int) -> Iterator[None]:
    """The station dies before its so-manieth transaction is on the disk, once."""
    left = number

    @contextmanager
    def transaction(db: sqlite3.Connection) -> Iterator[None]:
        nonlocal left
        left -= 1
        with durable.transaction(db):
            yield
            if left == 0:
                raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable_file, "transaction", transaction)
        yield


async def test_killed_before_any_of_its_commits_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Evening(local(tmp_path, monkeypatch))
    await first.sell()
    first.move_to(-300.0)
    begins_s = first.place.clock.now_s()
    for number in itertools.count(1):
        desk = first.place.desk
        evening = replace(first, place=local(tmp_path / str(number), monkeypatch, desk), deaths=0)
        shutil.copytree(first.place.folder / "national", evening.place.folder / "national")
        evening.place.clock.advance(begins_s)
        desk.forget(evening.place.clock)
        with killed_before_commit(number):
            name = await whole_evening(evening)
        desk, port = evening.place.desk, evening.place.port
        assert port.course == [("BAT", -3e5), ("BAT", -2e5)], f"killed before commit {number}"
        assert port.holds == {}
        assert [x[:2] for x in evening.verdicts()] == [(name, "accepted")]
        assert list(desk.taken) == list(desk.settled) == [name]
        assert desk.taken[name]["taken"] is True
        assert [p["delivered_w"] for p in desk.settled[name]["periods"]] == [-3e5, -1e5]
        if not evening.deaths:
            break
    assert number > 12  # every transaction of the evening had its turn


async def test_a_station_that_was_dead_all_the_time_delivers_nothing_late(evening: Evening) -> None:
    name = evening.activate()
    evening.move_to(Q + 1.0)
    await evening.step()
    assert evening.place.port.course == []
    assert evening.place.desk.taken[name] == {
        "id": name,
        "taken": False,
        "reason": "expired: it had to be taken 301 s ago",
        "periods": [],
    }


async def test_an_activation_that_comes_again_in_the_same_words_is_the_same_and_in_others_a_replay(
    evening: Evening,
) -> None:
    name = evening.activate()
    await evening.step()
    (listed,) = evening.place.desk.listed[evening.bid]
    evening.place.desk.listed[evening.bid] += [dict(listed), {**listed, "direction": "down"}]
    await evening.step()
    await evening.step()
    assert evening.verdicts() == [
        (name, "accepted", ""),
        (name, "refused", "replayed: it was said before in other words"),
    ]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"counter": 0}, "replayed: counter 0"),
        ({"issued_utc_s": 4e9, "expires_utc_s": 5e9}, "from the future"),
        ({"expires_utc_s": 1.0}, "expired"),
        ({"direction": "sideways"}, "malformed: direction"),
        ({"more": 1}, "malformed: keys"),
        ({"periods": [{"from_utc_s": 900.0, "until_utc_s": 1800.0, "w": 1e5}]}, "stale"),
    ],
)
async def test_what_is_not_right_is_refused_whole_answered_and_on_record(
    evening: Evening, changes: dict[str, Any], word: str
) -> None:
    evening.activate(w=(1e5,), first=1)
    await evening.step()
    name = evening.activate(w=(1e5,))
    evening.place.desk.listed[evening.bid][-1] |= changes
    await evening.step()
    evening.move_to(1.0)
    await evening.step()
    assert evening.place.port.course == []
    assert evening.place.desk.taken[name]["taken"] is False
    assert evening.place.desk.taken[name]["reason"].startswith(word)
    assert evening.verdicts()[1][:2] == (name, "refused")


async def test_two_activations_of_one_period_contradict_each_other(evening: Evening) -> None:
    first, second = evening.activate(w=(1e5,)), evening.activate("down", w=(1e5,))
    await evening.step()
    assert evening.place.desk.taken[first]["taken"] is True
    assert evening.place.desk.taken[second]["reason"].startswith(f"contradictory: {first}")


async def test_more_than_the_bid_is_refused_and_what_the_battery_lacks_is_said(evening: Evening) -> None:
    most_w = evening.place.desk.bids[evening.bid]["up_w"]
    name = evening.activate(w=(most_w + 1.0,))
    evening.record = kit.seller_record(soc_frac=0.1)
    partly = evening.activate(w=(most_w,), first=1)
    await evening.step()
    assert evening.place.desk.taken[name]["reason"].startswith("out of range")
    answer = evening.place.desk.taken[partly]
    assert answer["taken"] is True
    assert 0.0 < answer["periods"][0]["w"] < most_w
    assert "can be kept up" in answer["reason"]


async def test_what_a_local_service_has_by_then_is_not_touched(evening: Evening) -> None:
    async def claims(_from_utc_s: float, _until_utc_s: float) -> Mapping[str, str]:
        return {"BAT": "order o1 of agr.example.com"}

    evening.place.claims = claims
    name = evening.activate()
    await evening.step()
    evening.move_to(1.0)
    await evening.step()
    assert evening.place.port.course == []
    assert "BAT serves order o1" in evening.place.desk.taken[name]["reason"]


async def test_while_nobody_knows_what_units_do_nothing_is_judged(evening: Evening) -> None:
    evening.activate()
    with capture_logs() as told:
        async with evening.place.station(evening.record) as one:
            evening.place.clock.advance(90.0)
            await one.poll()
            assert evening.place.desk.taken == {}
            one.take(evening.record)
            await one.poll()
    assert len(evening.place.desk.taken) == 1
    assert [e["event"] for e in told] == ["national.stuck", "national.unstuck", "national.activated"]


async def test_a_second_activation_begins_from_where_the_first_one_began(evening: Evening) -> None:
    evening.activate(w=(1e5,))
    await evening.step()
    evening.move_to(Q - 60.0)
    evening.record = kit.seller_record(p_w=-1e5)
    second = evening.activate(w=(2e5,), first=1)
    await evening.step()
    evening.move_to(Q + 1.0)
    await evening.step()
    assert evening.place.desk.taken[second]["taken"] is True
    assert evening.place.port.course[-1] == ("BAT", -2e5)


async def test_a_silent_control_process_is_told_as_soon_as_it_is_back(evening: Evening) -> None:
    evening.activate()
    await evening.step()
    evening.place.port.silent = True
    evening.move_to(1.0)
    await evening.step()
    evening.place.port.silent = False
    evening.move_to(40.0)
    await evening.step()
    assert evening.place.port.course == [("BAT", -3e5)]


async def test_what_nobody_measured_within_a_day_was_not_delivered(evening: Evening) -> None:
    name = evening.activate()
    await evening.step()
    evening.measured(-3e5)
    evening.move_to(HOUR_S)
    await evening.step()
    assert evening.place.desk.settled == {}
    evening.move_to(2 * Q + 86_400.0)
    await evening.step()
    assert [p["delivered_w"] for p in evening.place.desk.settled[name]["periods"]] == [-3e5, 0.0]


async def test_a_market_that_lists_without_end_is_not_listened_to_any_further(
    evening: Evening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ACTIVATIONS_MAX", 3)
    for k in range(5):
        evening.place.desk.listed.setdefault(evening.bid, []).append({"id": f"x{k}"})
    with capture_logs() as told:
        await evening.step()
    assert len(evening.place.desk.taken) == 3
    assert "expected fewer" in told[0]["reason"]


async def test_what_was_taken_is_delivered_also_on_a_full_disk(
    evening: Evening, monkeypatch: pytest.MonkeyPatch
) -> None:
    evening.activate()
    await evening.step()
    evening.move_to(1.0)

    def full(_db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch, capture_logs() as told:
        patch.setattr(durable_file, "transaction", full)
        async with evening.place.station(evening.record) as one:
            await one.order()
    assert evening.place.port.course == [("BAT", -3e5)]
    assert [(e["event"], e["subject"]) for e in told] == [("national.stuck", "orders")]
