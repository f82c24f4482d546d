"""The station's look-ahead in service: heard while it lives, run out when it dies, and never felt when it floods."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from field_processes import SITE, SPEED, Bench, bench, end

from controller.clock import ManualClock
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.owner import Owner
from controller.domain.planning import planning_for
from controller.recording.codec import Tree, to_tree
from controller.recording.command import replay_command
from controller.runtime.instruction_socket import InstructionSocket
from controller.runtime.loop_sync import VirtualLoop
from simulators.adapters.in_process import InProcessField
from simulators.scenario import load_scenario
from simulators.world import World

pytestmark = pytest.mark.socket

BLOCK = "\nplanning: {plan_min: 0.3, valid_min: 1.0, horizon_h: 2}\n"
CYCLES = 40
DESK = "plan:station"


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Bench]:
    site = tmp_path / "planned.yaml"
    site.write_text(find_site(SITE).read_text("utf-8") + BLOCK, "utf-8")
    with bench(tmp_path, str(site)) as made:
        yield made


def station(field: Bench) -> subprocess.Popen[bytes]:
    folder = field.folder
    options = ["--record-socket", str(folder / "records"), "--platform-socket", str(folder / "orders")]
    options += ["--data", str(folder / "data"), "--period", "10", "--speed", f"{SPEED:g}", *field.time()]
    with (folder / "station.log").open("ab") as log:
        run = "from controller.history.command import station; station()"
        return subprocess.Popen([sys.executable, "-c", run, field.site, *options], stdout=log, stderr=log)


def battery(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(unit for unit in record["units"] if unit["id"] == "BAT")
    return found


def test_a_plan_is_heard_in_every_record_and_runs_out_when_the_station_dies(field: Bench) -> None:
    field.simulate()
    field.truth()
    orders, taped = field.folder / "orders", field.folder / "day.jsonl.gz"
    control = field.run("--platform-socket", str(orders), "--record", str(taped))
    records = field.records()
    records.until(lambda r: battery(r)["worth_cause"] == "rule", "a battery of known content")
    planner = station(field)
    try:
        first = records.until(lambda r: battery(r)["worth_cause"].startswith("plan:worth-"), "a plan")
        assert isinstance(battery(first)["worth_eur_per_mwh"], float)
        seen = battery(first)["worth_cause"]
        records.until(lambda r: battery(r)["worth_cause"] not in (seen, "rule"), "the next plan in its place")
    finally:
        end(planner, signal.SIGKILL)
    records.until(lambda r: battery(r)["worth_cause"] == "rule", "the plan ran out")
    assert end(control, signal.SIGTERM) == 0
    result = CliRunner().invoke(replay_command, [str(taped)])
    assert "cycles, identical" in result.output, result.output


def line(counter: int, **changes: object) -> bytes:
    said = {"id": f"w{counter}", "counter": counter, "issuer": DESK, "action": "worth", "subject": "BAT", "for_s": 600}
    worth = {"soc_frac": [0.5], "eur_per_mwh": [1e5]}
    return json.dumps(said | {"reason": "flood", "worth": worth} | changes).encode() + b"\n"


LINES = (
    line(1, for_s=-1.0),
    line(2, for_s=1e9),
    line(3, subject="BAT", issuer="ann"),
    line(4, subject="NOBODY"),
    line(5, worth={"soc_frac": [0.5], "eur_per_mwh": [1e300]}),
    line(6, worth={"soc_frac": [0.5, 0.1], "eur_per_mwh": [1.0, 0.0]}),
    line(7, action="limit", value=0.0),
    line(8, action="override", value=1e9),
    b'{"worth": NaN}\n',
    b"[" * 3000 + b"\n",
    b"x" * 10_000,
)


async def decided(path: Path, flood: bool) -> list[Tree]:
    """Set points of every cycle with the platform's socket open, and with ``flood`` a hostile station at its end."""
    named = load_site(find_site(SITE))
    site = replace(named, planning=planning_for(["BAT"], 900.0, 86_400.0, 2700.0))
    world = World(site, load_scenario(SITE).starting_at(12.0 * 3600.0), 1)
    loop = VirtualLoop(site, InProcessField(world, site.devices), step, initial_state(site), clock=ManualClock())
    listener = InstructionSocket(path, loop.clock, loop.desk, {DESK: Owner.PLAN})
    await listener.open()
    out, opened = [], []
    try:
        for k in range(CYCLES):
            if flood:
                opened.append(said(path, LINES[k % len(LINES)]))
            if len(opened) > 5:
                opened.pop(0).close()  # so that the next one is not turned away for their number alone
            record = loop.tick()
            assert record is not None
            out.append(to_tree(record.setpoints))
            world.step(1.0)
            loop.clock.advance(1.0)
            for _ in range(5):
                await asyncio.sleep(0.001)
    finally:
        for peer in opened:
            peer.close()
        await asyncio.sleep(0.05)
        await listener.aclose()
    return out


def said(path: Path, text: bytes) -> socket.socket:
    """A connection that has said something a hundred times and reads no answer."""
    peer = socket.socket(socket.AF_UNIX)
    peer.setblocking(False)
    try:
        peer.connect(str(path))
        peer.send(text * 100)
    except OSError:
        pass
    return peer


async def test_a_station_that_floods_with_what_must_be_refused_changes_no_set_point(tmp_path: Path) -> None:
    alone = await decided(tmp_path / "a", flood=False)
    assert await decided(tmp_path / "b", flood=True) == alone
    assert len({str([s["p_w"] for s in points]) for points in alone}) > 10
