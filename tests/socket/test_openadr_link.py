"""The VEN against a platform over HTTPS that is late, wrong, gone, or somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

import platform_kit as kit

from controller.balancing import vtn_client
from controller.balancing.https import LinkError
from controller.balancing.ledger import Ledger
from controller.balancing.openadr.times import instant_text, instant_utc_s
from controller.balancing.openadr_link import OpenAdrLink
from controller.balancing.order_book import FORGOTTEN
from controller.balancing.order_port import OrderPort
from controller.balancing.vtn_client import VtnClient
from controller.clock import SystemClock
from controller.domain.instruction import Action, Instruction
from controller.domain.platform import REACTIVE_PAYLOAD, Link, Platform
from controller.domain.record import Event
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.instruction_socket import InstructionSocket
from simulators.platform.certificates import Authority
from simulators.platform.stand_in import MISBEHAVIOUR, StandIn

pytestmark = pytest.mark.socket
REQUEST_S = 0.4


@dataclass
class Place:
    """A platform, a control process that accepts everything, and the link between them."""

    stand_in: StandIn
    platform: Platform
    link: OpenAdrLink
    folder: Path
    desk: InstructionDesk
    clock: SystemClock = field(default_factory=SystemClock)
    said: list[Instruction] = field(default_factory=list)
    words: str = "heard"

    async def poll(self) -> None:
        """One poll with its reports, on a connection of its own."""
        async with VtnClient(self.platform.link, self.clock, REQUEST_S) as client:
            await self.link.poll(client)
            await self.link._report(client)

    async def cycles(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            taken = self.desk.take()
            self.said += [i for i in taken if FORGOTTEN not in i.reason]
            self.desk.settle([Event("instruction.accepted", i.id, f"x: {i.reason}; {self.words}") for i in taken])

    def orders(self) -> list[tuple[Action, str, str]]:
        return [(i.action, i.subject, f"{i.value:g}") for i in self.said]


def platform_of(stand_in: StandIn, **changes: Any) -> Platform:
    assert kit.SITE.platform is not None
    link = Link(
        stand_in.url, "demo", 1.0, 60.0, str(stand_in.credentials_file), str(stand_in.authority.ca_file), None, None
    )
    return replace(kit.SITE.platform, link=replace(link, **changes))


@contextlib.asynccontextmanager
async def place(tmp_path: Path, mutual: bool = False) -> AsyncIterator[Place]:
    stand_in, clock, desk = StandIn(tmp_path / "platform", mutual), SystemClock(), InstructionDesk()
    await stand_in.open()
    ours = {"cert_file": str(stand_in.client.cert_file), "key_file": str(stand_in.client.key_file)} if mutual else {}
    platform = platform_of(stand_in, **ours)
    path = tmp_path / "orders"
    desks = {issuer.account: issuer.service for issuer in platform.issuers}
    listener = InstructionSocket(path, clock, desk, desks)
    await listener.open()
    link = OpenAdrLink(replace(kit.SITE, platform=platform), platform, clock, tmp_path, OrderPort(path))
    await link.open()
    made = Place(stand_in, platform, link, tmp_path, desk)
    cycles = asyncio.create_task(made.cycles())
    try:
        yield made
    finally:
        cycles.cancel()
        await listener.aclose()
        await link.aclose()
        await stand_in.aclose()


@pytest.mark.parametrize("mutual", [False, True])
async def test_an_event_becomes_an_order_an_answer_and_at_its_end_a_release(tmp_path: Path, mutual: bool) -> None:
    async with place(tmp_path, mutual) as made:
        dso = made.stand_in.programme("Flexible connection")
        period = {"start": instant_text(made.clock.utc().timestamp() - 60.0), "duration": "PT30M"}
        event = made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [3000], priority=1, intervalPeriod=period)
        await made.poll()
        await made.link.order()
        await made.link.order()
        assert made.orders() == [(Action.LIMIT, "export", "3e+06")]
        assert (made.said[0].issuer, made.said[0].owner.value) == (kit.DSO, "flexibility")
        assert made.stand_in.answers(event["id"]) == [["ACCEPTED"]]
        made.stand_in.vtn.change("events", event["id"], priority=0)
        await made.poll()
        await made.link.order()
        assert len(made.said) == 1  # another version of the same values
        del made.stand_in.vtn.objects["events"][event["id"]]
        await made.poll()
        await made.link.order()
        assert made.orders()[1] == (Action.RELEASE, "export", "nan")


async def test_what_is_refused_is_answered_with_its_reason_and_once(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        dso, tso = made.stand_in.programme("Flexible connection"), made.stand_in.programme("Balancing")
        much = made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [3e6])
        foreign = made.stand_in.post(tso, "EXPORT_CAPACITY_LIMIT", [3000])
        text = made.stand_in.post(dso, "IMPORT_CAPACITY_LIMIT", ["lots"])
        other = made.stand_in.post(made.stand_in.programme("Somebody"), "EXPORT_CAPACITY_LIMIT", [1])
        for _ in range(3):
            await made.poll()
        await made.link.order()
        reasons = [made.stand_in.answers(x["id"]) for x in (much, foreign, text, other)]
        assert [len(found) for found in reasons] == [1, 1, 1, 0]
        words = [found[0][1] for found in reasons[:3]]
        assert all(found[0][0] == "REFUSED" for found in reasons[:3])
        assert "out of range: 3e+09 W" in words[0]
        assert "no authority" in words[1]
        assert "expected a finite number" in words[2]
        assert made.said == []
        ledger = Ledger(made.folder)
        assert [e.verdict for e, _ in ledger.entries() if e.command != FORGOTTEN] == ["refused"] * 3
        ledger.close()


async def test_a_reactive_request_is_ordered_and_its_answer_goes_back_once(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        made.words = "in part: 900 instead of 1500 kvar can be had now, N3.voltage in the way"
        tso = made.stand_in.programme("Balancing")
        event = made.stand_in.post(
            tso, REACTIVE_PAYLOAD, [1500],
            payloadDescriptors=[{"payloadType": REACTIVE_PAYLOAD, "units": "KVAR"}],
            reportDescriptors=[{"payloadType": "GRIDEDGE_REACTIVE_READING"}],
        )  # fmt: skip
        for _ in range(3):
            await made.poll()
            await made.link.order()
        ((said),) = made.said
        assert (said.action, said.subject, said.q_var, said.issuer) == (Action.REACTIVE, "interface", 1.5e6, kit.TSO)
        assert made.stand_in.answers(event["id"]) == [["ACCEPTED"], ["ORDERED", made.words]]


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOUR)
async def test_a_platform_that_misbehaves_changes_nothing(tmp_path: Path, misbehaviour: str) -> None:
    async with place(tmp_path) as made:
        dso = made.stand_in.programme("Flexible connection")
        made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [3000])
        await made.poll()
        await made.link.order()
        made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [2000])
        made.stand_in.misbehave = misbehaviour
        with pytest.raises((LinkError, ValueError)):
            await made.poll()
        await made.link.order()
        assert made.orders() == [(Action.LIMIT, "export", "3e+06")]
        made.stand_in.misbehave = ""
        await made.poll()
        await made.link.order()
        assert made.orders()[-1] == (Action.LIMIT, "export", "2e+06")


async def test_an_outage_and_a_restart_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        dso = made.stand_in.programme("Flexible connection")
        event = made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [3000])
        await made.poll()
        await made.link.order()
        await made.stand_in.aclose()
        assert await made.link.session() is False
        again = OpenAdrLink(
            replace(kit.SITE, platform=made.platform),
            made.platform,
            made.clock,
            made.folder,
            OrderPort(tmp_path / "orders"),
        )
        await again.open()
        await again.order()
        assert made.orders() == [(Action.LIMIT, "export", "3e+06")] * 2  # the same value once more, as a renewal
        made.link = again
        await made.stand_in.open()
        await made.poll()
        assert made.stand_in.answers(event["id"]) == [["ACCEPTED"]]
        await again.aclose()


async def test_a_token_that_was_revoked_is_fetched_anew(tmp_path: Path) -> None:
    async with place(tmp_path) as made, VtnClient(made.platform.link, made.clock) as client:
        await client.everything("/programs")
        made.stand_in.vtn.revoke()
        with pytest.raises(LinkError, match="401"):
            await client.everything("/programs")
        assert await client.everything("/programs") == []


async def test_a_token_that_is_revoked_in_the_middle_of_the_day_costs_not_even_one_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a report: a platform that answers 403 to it would else be taken for one that does not want any."""
    monkeypatch.setattr(vtn_client, "_TOKEN_YOUNG_S", -1.0)
    async with place(tmp_path) as made, VtnClient(made.platform.link, made.clock) as client:
        await client.everything("/programs")
        made.stand_in.vtn.revoke()
        assert await client.everything("/programs") == []
        assert [status for _, path, status in made.stand_in.vtn.seen if path.endswith("/programs")] == [200, 401, 304]


async def test_pages_are_put_together_and_unchanged_ones_are_not_sent_again(tmp_path: Path) -> None:
    async with place(tmp_path) as made, VtnClient(made.platform.link, made.clock) as client:
        for k in range(120):
            made.stand_in.programme(f"p{k}")
        names = [p["programName"] for p in await client.everything("/programs")]
        assert names == [f"p{k}" for k in range(120)]
        assert [p["programName"] for p in await client.everything("/programs")] == names
        statuses = [status for _, path, status in made.stand_in.vtn.seen if path.endswith("/programs")]
        assert statuses == [200] * 3 + [304] * 3


async def test_a_platform_whose_lists_have_no_end_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place(tmp_path) as made:
        for _ in range(17):
            made.stand_in.programme("Flexible connection")
        async with VtnClient(made.platform.link, made.clock) as client:
            with pytest.raises(LinkError, match="17 programs have the names of our desks; expected at most 16"):
                await made.link.poll(client)
            monkeypatch.setattr(vtn_client, "COLLECTION_BYTES_MAX", 2000)
            with pytest.raises(LinkError, match="/programs is longer than 2000 bytes"):
                await client.everything("/programs")


async def test_only_the_platform_itself_is_talked_to(tmp_path: Path) -> None:
    """Wrong authority, wrong name, expired, and none of ours where one is asked for."""
    wrong = {
        "authority": Authority(tmp_path / "other").issue("127.0.0.1"),
        "name": None,
        "expired": None,
        "client": None,
    }
    for what, other in wrong.items():
        stand_in = StandIn(tmp_path / what, mutual=what == "client")
        identities = {"name": ("platform.example", False), "expired": ("127.0.0.1", True)}
        if what in identities:
            name, expired = identities[what]
            stand_in.certificate = stand_in.authority.issue(name, expired=expired)
        stand_in.certificate = other or stand_in.certificate
        await stand_in.open()
        with pytest.raises(LinkError):
            async with VtnClient(platform_of(stand_in).link, SystemClock(), 2.0) as client:
                await client.everything("/programs")
        assert stand_in.vtn.seen == [], what
        await stand_in.aclose()


async def test_measurements_go_out_as_the_event_asks_for_them(tmp_path: Path) -> None:
    async with place(tmp_path) as made:
        dso = made.stand_in.programme("Flexible connection")
        asked = [{"payloadType": name} for name in ("USAGE", "OPERATING_STATE", "STORAGE_CHARGE_LEVEL", "BASELINE")]
        event = made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [3000], reportDescriptors=asked)
        await made.poll()
        record = {
            "mode": "normal",
            "units": [
                {"id": "BAT1", "p_w": -36e3, "curtailed_w": 0.0, "soc_frac": 0.5, "status": "free"},
                {"id": "PVA", "p_w": -1e6, "curtailed_w": 5e5, "soc_frac": None, "status": "held"},
                {"id": "WIND1", "p_w": None, "curtailed_w": 0.0, "soc_frac": None, "status": "lost"},
            ],
        }
        made.link.take(record)
        await asyncio.sleep(0.02)
        await made.link._measure()
        await made.poll()
        found = [r for r in made.stand_in.vtn.objects["reports"].values() if r["reportName"] == "measurements"]
        assert [r["eventID"] for r in found] == [event["id"]]
        said = {
            r["resourceName"]: {p["type"]: p["values"][0] for p in r["intervals"][0]["payloads"]}
            for r in found[0]["resources"]
        }
        assert set(said) == {"BAT1", "PVA"}
        assert said["BAT1"]["STORAGE_CHARGE_LEVEL"] == 50.0
        assert said["BAT1"]["USAGE"] < 0.0
        assert said["PVA"]["OPERATING_STATE"] == "RUNNING_CURTAILED"
        assert "STORAGE_CHARGE_LEVEL" not in said["PVA"]


async def test_what_is_measured_while_the_platform_is_away_reaches_it_once_in_order_and_without_a_gap(
    tmp_path: Path,
) -> None:
    async with place(tmp_path) as made:
        dso = made.stand_in.programme("Flexible connection")
        made.stand_in.post(dso, "EXPORT_CAPACITY_LIMIT", [3000], reportDescriptors=[{"payloadType": "USAGE"}])
        made.link._platform = replace(made.platform, link=replace(made.platform.link, report_s=0.1))
        await made.poll()
        await made.stand_in.aclose()
        measuring = asyncio.create_task(made.link.run_reports())
        for _ in range(60):
            made.link.take({"mode": "normal", "units": [{"id": "PVA", "p_w": -1e6, "curtailed_w": 0.0}]})
            await asyncio.sleep(0.01)
        measuring.cancel()
        assert await made.link.session() is False
        await made.stand_in.open()
        await made.poll()
        await made.poll()
        found = [r for r in made.stand_in.vtn.objects["reports"].values() if r["reportName"] == "measurements"]
        readings = [r["resources"][0] for r in found]
        begins = [instant_utc_s(reading["intervalPeriod"]["start"]) for reading in readings]
        usage_kwh = [reading["intervals"][0]["payloads"][0]["values"][0] for reading in readings]
        assert len(found) >= 4
        lasts_s = [b - a for a, b in pairwise(begins)]  # what one period does not count, the next one does not either
        assert usage_kwh[:-1] == pytest.approx([-1e3 * s / 3600.0 for s in lasts_s], abs=1e-3)


async def test_secrets_stay_out_of_errors(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    await stand_in.open()
    stand_in.credentials_file.write_text("ven\ncanary-secret\n", encoding="utf-8")
    with pytest.raises(LinkError) as caught:
        async with VtnClient(platform_of(stand_in).link, SystemClock()) as client:
            await client.everything("/programs")
    assert "canary" not in str(caught.value)
    await stand_in.aclose()
