"""Substation, control process, station and a stranger's aggregator as the processes that they are: a need is traded.

All of it by TLS: with the participant by a certificate that an authority of the site file vouches for, with the
balancing platform by one on either side.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from field_processes import SITE, SPEED, Bench, Lines, bench, end
from free_ports import free_port
from uftp_wire_kit import AGR, DSO, KEYS, endpoint_on

from controller.balancing.uftp.memory import Memory
from controller.clock import SystemClock
from controller.config.find import find_site
from controller.planning.calendar import QUARTER_S
from controller.shared_time import FollowingTime
from simulators.platform.certificates import Authority
from simulators.platform.stand_in import StandIn
from simulators.platform.uftp_aggregator import Aggregator, Manners

pytestmark = pytest.mark.socket

STARTS = datetime(2026, 6, 15, 11, 40, tzinfo=UTC)  # five minutes before the quarter hour that is traded
EXPORT_KW = 400.0  # far above what the roofs give
PATIENCE_S = QUARTER_S / SPEED + 240.0  # for a machine that is busy with something else
MARKET = """
market:
  domain: {dso}
  congestion_point: ea1.2026-01.com.example:secondary-1
  listen: 127.0.0.1:{port}
  signing_key: {key}
  cert_file: {cert}
  key_file: {cert_key}
  ca_file: {ca}
  plan_min: 0.5
  offer_min: 0.5
  lead_min: 0.1
  again_min: 240
  horizon_h: 2
  shortfall_eur_per_mwh: 20000
  participants:
    - {{domain: {agr}, endpoint: "{agr_endpoint}", public_key: {public}, max_kw: 150, units: [BAT]}}
"""
PLATFORM = """platform:
  kind: openadr3
  url: {url}
  credentials: {credentials}
  ca_file: {ca}
  cert_file: {cert}
  key_file: {cert_key}
  poll_s: 2
  issuers:
    - {{id: dso, program: flexibility, service: flexibility, subjects: [export]}}
"""


class Platform:
    """The balancing platform's VTN, which asks for a certificate, on a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.stand_in = StandIn(folder / "platform", mutual=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self.stand_in.open())

    def block(self) -> str:
        """Of the site file."""
        ours, there = self.stand_in.client, self.stand_in
        files = {"cert": ours.cert_file, "cert_key": ours.key_file, "ca": there.authority.ca_file}
        return PLATFORM.format(url=there.url, credentials=there.credentials_file, **files)

    def limit_export(self, kw: float, now: datetime) -> str:
        """For an hour from now on; the event's id."""
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        stamps = {"createdDateTime": stamp, "modificationDateTime": stamp}
        period = {"start": stamp, "duration": "PT1H"}
        program = self.stand_in.programme("flexibility")
        event = self.stand_in.post(program, "EXPORT_CAPACITY_LIMIT", [kw], intervalPeriod=period, **stamps)
        return str(event["id"])

    def close(self) -> None:
        self._run(self.stand_in.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)


class Trade:
    """The station of the site, which may be started again, and its aggregator."""

    def __init__(self, folder: Path, port: int, agr_port: int, platform: Platform) -> None:
        self.folder, self._port, self._agr_port = folder, port, agr_port
        self.platform = platform
        self.authority = Authority(folder / "market-authority")
        ours = self.authority.issue("127.0.0.1")
        self.site = folder / "site.yaml"
        key = folder / "market.key"
        key.write_text(KEYS[DSO][1], "ascii")
        fields = {"dso": DSO, "agr": AGR, "port": port, "agr_endpoint": endpoint_on(agr_port, "https")}
        fields |= {"cert": ours.cert_file, "cert_key": ours.key_file, "ca": self.authority.ca_file}
        block = MARKET.format(**fields, key=key, public=KEYS[AGR][0])
        # A limit far below what the roofs give at noon: nobody has to look closely to see the need.
        narrow = find_site(SITE).read_text("utf-8").replace("- branch: TX\n", "- {branch: TX, i_max_a: 450}\n", 1)
        narrow = narrow.replace("limits:\n", f"limits:\n  export_kw: {EXPORT_KW}\n", 1)
        narrow = narrow.replace("platform: {kind: none}\n", platform.block(), 1)
        self.site.write_text(narrow + block, "utf-8")
        self.clock = SystemClock(SPEED, STARTS)
        self._time: Sequence[str] = ()

    def follow(self, time_words: Sequence[str]) -> None:
        """Station and aggregator go by the time that the simulation hands out, as soon as it does.

        With a clock of its own, a station that takes long to start would be behind the records that it reads: who is
        five minutes behind believes none of them, and asks for nothing.
        """
        self._time = time_words
        self.clock = SystemClock(SPEED, STARTS, FollowingTime(Path(time_words[-1]), None))

    def station(self) -> subprocess.Popen[bytes]:
        """At the time of day that it is by then."""
        sockets = ["--record-socket", str(self.folder / "records"), "--platform-socket", str(self.folder / "orders")]
        timing = ["--speed", f"{SPEED:g}", "--start-utc", began(), "--period", "20", *self._time]
        arguments = ["station", str(self.site), *sockets, *timing, "--data", str(self.folder / "data")]
        with (self.folder / "station.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "controller", *arguments], stdout=log, stderr=log)

    def aggregator(self) -> Aggregator:
        made = Aggregator(
            AGR,
            KEYS[AGR][1],
            Manners(50_000, 80.0),
            key_of=lambda *_: KEYS[DSO][0],
            endpoint_of=lambda *_: endpoint_on(self._port, "https"),
            port=self._agr_port,
            utc=self.clock.utc,
        )
        made.secure(self.authority.issue("127.0.0.1"))
        return made

    def wait_for_log(self, words: str) -> None:
        """Until the station has said so."""
        ends_s = time.monotonic() + PATIENCE_S
        while words not in (self.folder / "station.log").read_text("utf-8"):
            assert time.monotonic() < ends_s, words
            time.sleep(0.02)


@pytest.fixture
def trade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trade]:
    platform = Platform(tmp_path)
    made = Trade(tmp_path, free_port(), free_port(), platform)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority.ca_file))  # whom the library's client trusts
    try:
        yield made
    finally:
        platform.close()


@pytest.fixture
def field(tmp_path: Path, trade: Trade) -> Iterator[Bench]:
    with bench(tmp_path, str(trade.site)) as made:
        yield made


def test_a_projected_need_is_asked_offered_ordered_once_and_delivered_though_the_station_is_killed(
    field: Bench, trade: Trade
) -> None:
    """Sun at noon on every roof: the transformer would be overloaded, a battery's owner is paid to charge."""
    field.simulate("--expect", "controller", "--expect", "station")
    field.truth()
    field.run("--platform-socket", str(trade.folder / "orders"), "--start-utc", began())
    trade.follow(field.time())
    records = field.records()
    limited = trade.platform.limit_export(0.9 * EXPORT_KW, STARTS)
    aggregator = trade.aggregator()
    aggregator.run_in_thread()
    first = trade.station()
    second = None
    try:
        asked = aggregator.heard.wait_for("FlexRequest", timeout_s=PATIENCE_S)
        order = aggregator.heard.wait_for("FlexOrder", timeout_s=PATIENCE_S)[0]
        trade.wait_for_log("kind=FlexOrderResponse")  # the aggregator says it once: it does not try again
        end(first, signal.SIGKILL)
        second = trade.station()
        told = seen(records, lambda r: ordered(r) != [], "an order in force in the control process")
        assert {x["subject"] for x in ordered(told)} == {"BAT"}
        seen(records, limits_export, "the platform's limit in force in the control process")
        seen(records, lambda r: unit(r, "BAT")["p_w"] > 0.5 * order.isps[0].power, "the battery charges")
        assert end(second, signal.SIGTERM) == 0
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait(PATIENCE_S)
        aggregator.stop()
    assert trade.platform.stand_in.answers(limited) == [["ACCEPTED"]]
    heard = [m for m in aggregator.heard.messages if type(m).__name__ == "FlexOrder"]
    assert {m.message_id for m in heard} == {order.message_id}
    assert {m.message_id for m in aggregator.heard.messages if type(m).__name__ == "FlexRequest"} == {
        m.message_id for m in asked
    }
    with closing(Memory(trade.folder / "data" / "market")) as memory:
        assert memory.verify() == ""
        assert [said.answer for said in memory.sent_about("FlexOrder", order.flex_offer_message_id)] == ["accepted"]


def began() -> str:
    """For a command line."""
    return STARTS.strftime("%Y-%m-%dT%H:%M:%SZ")


def seen(records: Lines, condition: Callable[[dict], bool], what: str) -> dict:
    """As :meth:`Lines.until`, for longer."""
    ends_s = time.monotonic() + PATIENCE_S
    found: dict = {}
    while not condition(found):
        assert time.monotonic() < ends_s, what
        found = records.until(lambda _: True, what)
    return found


def limits_export(record: dict) -> bool:
    restrictions = record.get("restrictions", ())
    return any(x["subject"] == "export" and x["cause"].startswith("flexibility:dso") for x in restrictions)


def unit(record: dict, name: str) -> dict:
    return next((u for u in record.get("units", ()) if u["id"] == name), {"p_w": 0.0})


def ordered(record: dict) -> list[dict]:
    return [x for x in record.get("restrictions", ()) if x["cause"].startswith("flexibility:market")]
