"""The station as a Sparkplug edge node at a real broker that is killed, and for a host that comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mosquitto_kit import MOSQUITTO, Broker, HostApplication, mosquitto_hash, until
from sparkplug_kit import SITE, record

from controller.balancing.sparkplug.payload import DataType, Metric, Payload, encode
from controller.balancing.sparkplug.telemetry import Telemetry
from controller.clock import SystemClock
from controller.domain import telemetry as domain
from controller.history.batch import Batch, Sample
from controller.history.keeper import Keeper
from controller.history.store import Store
from simulators.platform.certificates import Authority

pytestmark = [
    pytest.mark.socket,
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto, the MQTT broker, is not installed"),
]
SPEED = 10.0
REBIRTH = encode(Payload(0, (Metric(DataType.BOOLEAN, True, 0, "Node Control/Rebirth"),)))
BEGAN_S = 1_780_000_000 // 60 * 60


def settings(port: int, **changes: Any) -> domain.Sparkplug:
    broker = domain.Broker("127.0.0.1", port, tls=False)
    made = domain.Sparkplug(broker, "fleet", "demo", "scada", live_s=2.0, settle_s=10.0, backlog_bytes_per_s=100_000.0)
    return replace(made, **changes)


@dataclass
class Station:
    """Keeper, telemetry and a control process that says something every tenth of a second."""

    keeper: Keeper
    telemetry: Telemetry
    stored: int = 0
    said: int = 0

    def store(self) -> str:
        """One more minute into the outbox; its key there."""
        samples = tuple(Sample(f"unit.{unit.id}.p_w", 60, float(self.stored), -1.0, 1.0) for unit in SITE.units)
        start_s = BEGAN_S + 60 * self.stored
        self.keeper.put(Batch(start_s, 60, samples))
        self.stored += 1
        return f"{SITE.name}/{start_s}/0/samples"

    async def empty(self) -> bool:
        return not await self.keeper.up_to(1 << 40, 1)

    async def speak(self) -> None:
        while True:
            self.said += 1
            utc = (datetime.now(UTC)).isoformat()
            self.telemetry.take(record(self.said, utc=utc, given_up_w=float(self.said)))
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def station(folder: Path, made: domain.Sparkplug) -> AsyncIterator[Station]:
    keeper = Keeper(lambda: Store(folder, SITE.name))
    await keeper.open()
    running = Station(keeper, Telemetry(replace(SITE, sparkplug=made), SystemClock(SPEED), folder))
    tasks = [asyncio.create_task(work()) for work in running.telemetry.tasks(keeper).values()]
    tasks += [asyncio.create_task(keeper.run()), asyncio.create_task(running.speak())]
    try:
        yield running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await keeper.aclose()


@contextlib.asynccontextmanager
async def broker(folder: Path, *lines: str) -> AsyncIterator[Broker]:
    made = Broker(folder, *lines)
    await made.start()
    try:
        yield made
    finally:
        await made.kill()


async def test_a_broker_that_dies_for_a_while_costs_nothing_but_time(tmp_path: Path) -> None:
    async with broker(tmp_path) as made, station(tmp_path, settings(made.port)) as box:
        host = HostApplication(made.port)
        async with host.listening():
            await host.until(lambda: "NBIRTH" in host.host.kinds, "no birth")
            before = []
            for _ in range(5):
                before.append(box.store())
                await asyncio.sleep(0.1)
            await host.until(lambda: before[-1] in host.keys(late=False), "nothing live")
            await made.kill()
        while_dead = []
        for _ in range(20):
            while_dead.append(box.store())
            await asyncio.sleep(0.05)
        await made.start()
        async with host.listening():
            await host.until(lambda: while_dead[-1] in host.keys(late=True), "the backlog does not come")
            after = box.store()
            await host.until(lambda: after in host.keys(late=False), "nothing live after the outage")
        late = [key for key in host.keys(late=True) if key in while_dead]
        assert late == while_dead  # all, in order, historical
        assert not set(while_dead) & set(host.keys(late=False))
        assert set(before) <= set(host.keys(late=False))


async def test_live_values_are_fresh_while_a_backlog_is_drained(tmp_path: Path) -> None:
    async with broker(tmp_path) as made, station(tmp_path, settings(made.port)) as box:
        waiting = [box.store() for _ in range(400)]
        await until(lambda: box.keeper.stored == len(waiting), "the disk is slow")
        host = HostApplication(made.port)
        ages_s = []
        async with host.listening():

            def drained() -> bool:
                seen = host.host.now.get(("", "Site/given_up_w"))
                if seen is not None:
                    ages_s.append((box.said - seen) * 0.1)
                return waiting[-1] in host.keys(late=True)

            await host.until(drained, "the backlog does not come")
        assert host.keys(late=True) == waiting
        assert len(ages_s) > 5
        assert max(ages_s) < 2.0
        print(f"{len(waiting)} messages; live values at most {max(ages_s):.1f} s old")


async def test_nothing_is_sent_until_the_primary_host_is_there_and_again_what_it_may_have_missed(
    tmp_path: Path,
) -> None:
    async with broker(tmp_path) as made, station(tmp_path, settings(made.port)) as box:
        host = HostApplication(made.port)
        async with host.listening(online=False):
            early = box.store()
            await asyncio.sleep(0.5)
            assert host.arrived == []
            await host.state(True)
            await host.until(lambda: early in host.keys(late=True), "what waited does not come")
            live = box.store()
            await host.until(lambda: live in host.keys(late=False), "nothing live")
            numbers = [host.host.now["", "bdSeq"]]
            await host.state(False)
            await host.until(lambda: host.host.kinds[-1] == "NDEATH", "no death when the host is gone")
            count = len(host.arrived)
            held = box.store()
            await asyncio.sleep(0.5)
            assert len(host.arrived) == count
            await host.state(True)
            await host.until(lambda: held in host.keys(late=True), "what was held does not come")
            numbers.append(host.host.now["", "bdSeq"])
        assert host.keys(late=True)[-2:] == [live, held]  # what was not settled comes once more, before the new
        assert numbers[1] == numbers[0] + 1


async def test_what_is_settled_is_gone_and_what_is_not_is_still_there(tmp_path: Path) -> None:
    async with broker(tmp_path) as made, station(tmp_path, settings(made.port, settle_s=8.0)) as box:
        host = HostApplication(made.port)
        async with host.listening():
            key = box.store()
            await host.until(lambda: key in host.keys(late=True) + host.keys(late=False), "it does not come")
            assert not await box.empty()
            await until(box.empty, "it is not settled")


async def test_a_rebirth_is_answered_and_no_other_command_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with broker(tmp_path) as made, station(tmp_path, settings(made.port)) as box:
        host = HostApplication(made.port)
        async with host.listening():
            await host.until(lambda: "NBIRTH" in host.host.kinds, "no birth")
            number = host.host.now["", "bdSeq"]
            await host.command(
                "spBv1.0/fleet/DCMD/demo/PVA", encode(Payload(0, (Metric(DataType.DOUBLE, 0.0, name="p_set_w"),)))
            )
            for _ in range(10):
                await host.command("spBv1.0/fleet/NCMD/demo", REBIRTH)
            await host.until(lambda: host.host.kinds.count("NBIRTH") > 1, "no rebirth")
            key = box.store()
            await host.until(lambda: key in host.keys(late=True) + host.keys(late=False), "nothing after it")
            assert host.host.now["", "bdSeq"] == number
            assert host.host.kinds.count("NBIRTH") <= 3  # ten requests: the first at once, the others together
            assert box.said > 0
    assert "p_set_w" in capsys.readouterr().out


SITE_BLOCK = """
sparkplug:
  host: 127.0.0.1
  port: {port}
  tls: false
  group: fleet
  node: demo
"""


async def test_a_killed_station_dies_by_its_will_and_comes_back_with_the_next_number(tmp_path: Path) -> None:
    site = Path(__file__).parents[2] / "site_configs" / "demo_primary.yaml"
    async with broker(tmp_path) as made:
        own = tmp_path / "site.yaml"
        own.write_text(site.read_text("utf-8") + SITE_BLOCK.format(port=made.port), "utf-8")
        host = HostApplication(made.port)
        async with host.listening():
            numbers = []
            files = ("--record-socket", str(tmp_path / "records"), "--data", str(tmp_path / "data"))
            command = (sys.executable, "-m", "controller", "station", str(own), *files)
            for how in (signal.SIGKILL, signal.SIGTERM):
                process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
                births = host.host.kinds.count("NBIRTH")
                await host.until(lambda: host.host.kinds.count("NBIRTH") > births, "no birth")  # noqa: B023
                numbers.append(host.host.now["", "bdSeq"])
                process.send_signal(how)
                await host.until(lambda: host.host.kinds[-1] == "NDEATH", "no death")
                code = await process.wait()
                assert code == (0 if how == signal.SIGTERM else -9)
                death = host.arrived[-1][2]
                assert [(metric.name, metric.long_value) for metric in death.metrics] == [("bdSeq", numbers[-1])]
        assert numbers == [0, 1]


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_over_tls_with_a_password_and_only_with_a_broker_that_is_vouched_for(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    identity = ours.issue("127.0.0.1")
    passwords = tmp_path / "passwords"
    passwords.write_text(f"demo:{mosquitto_hash('secret')}\n")
    (tmp_path / "credentials").write_text("demo\nsecret\n")
    lines = ("allow_anonymous false", f"password_file {passwords}", f"cafile {ours.ca_file}",
             f"certfile {identity.cert_file}", f"keyfile {identity.key_file}")  # fmt: skip
    async with broker(tmp_path, *lines) as made:
        for authority, good in ((theirs, False), (ours, True)):
            secured = domain.Broker("127.0.0.1", made.port, tls=True, credentials_file=str(tmp_path / "credentials"),
                                    ca_file=str(authority.ca_file))  # fmt: skip
            async with station(tmp_path, settings(made.port, broker=secured, primary_host="")) as box:
                key = box.store()
                await until(lambda: box.keeper.stored == 1, "the disk is slow")
                if good:
                    await until(box.empty, f"{key} is not delivered")
                else:
                    await asyncio.sleep(1.0)
                    assert not await box.empty()


ACCESS = """
pattern write spBv1.0/fleet/NBIRTH/%u
pattern write spBv1.0/fleet/NDEATH/%u
pattern write spBv1.0/fleet/NDATA/%u
pattern write spBv1.0/fleet/+/%u/+
pattern read spBv1.0/fleet/NBIRTH/%u
pattern read spBv1.0/fleet/NCMD/%u
pattern read spBv1.0/fleet/DCMD/%u/+
pattern read spBv1.0/STATE/+
"""


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_access_list_of_the_guide_is_enough_and_a_broker_that_drops_births_is_not_believed(
    tmp_path: Path, allowed: bool
) -> None:
    access, passwords, credentials = tmp_path / "access", tmp_path / "passwords", tmp_path / "credentials"
    access.write_text(ACCESS if allowed else "pattern read spBv1.0/#\n")
    passwords.write_text(f"demo:{mosquitto_hash('secret')}\n")
    credentials.write_text("demo\nsecret\n")
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {access}")
    async with broker(tmp_path, *lines) as made:
        known = domain.Broker("127.0.0.1", made.port, tls=False, credentials_file=str(credentials))
        async with station(tmp_path, settings(made.port, broker=known, primary_host="")) as box:
            box.store()
            await until(lambda: box.keeper.stored == 1, "the disk is slow")
            if allowed:
                await until(box.empty, "it is not delivered")
            else:
                await asyncio.sleep(2.0)
                assert not await box.empty()
