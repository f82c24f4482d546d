"""``gridedge demo`` with its real processes: what it reports, how it ends, and that nothing stays behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from free_ports import free_port, is_free

from controller.config.find import find_site
from controller.config.loader import load_site
from simulators.demo.ports import NoFreePorts, claimed_offset, free_offset
from simulators.demo.unplug import unplug as unplug_command

pytestmark = pytest.mark.socket

SITE = "secondary_rooftop"
PATIENCE_S = 240.0  # for a machine that is busy with something else
UNDER_CONTROL = "cycles missed"  # said with every hour once the controller's records come in
OFF = "  the box is off  "
FIELD = load_site(find_site(SITE))


class Demo:
    """One running demo, its standard output in a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        # A name of a Unix socket has at most 107 bytes; the test's own folder may be deeper than that.
        self.sockets = Path(tempfile.mkdtemp(prefix="demo-test-"))
        self.output = folder / "output"
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controller", "demo", SITE, "--headless", *arguments],
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"TMPDIR": str(self.sockets)},
            )

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def until(self, text: str, after: str = "") -> None:
        """Wait until that has been printed, after something else."""
        give_up_s = time.monotonic() + PATIENCE_S
        while after not in self.said() or text not in self.said().split(after or "\0")[-1]:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < give_up_s, f"waited for {text!r}; it printed:\n{self.said()}"
            time.sleep(0.05)

    def children(self) -> dict[str, int]:
        """Process ids by sub-command (``simulate``, ``run``)."""
        found = {}
        for pid in _pids():
            words = _command_line(pid)
            if _parent(pid) == self.process.pid and "controller" in words:
                found[words[words.index("controller") + 1]] = pid
        return found

    def processes(self) -> list[str]:
        """Those of this demo that are still there, by what they inherited; without one of them no port is held."""
        mark = os.fsencode(self.sockets)
        return [" ".join(_command_line(pid)) for pid in _pids() if mark in _environment(pid)]

    def relics(self) -> list[str]:
        """Processes of this demo, and files it left in its temporary folder."""
        return self.processes() + [str(path) for path in self.sockets.iterdir()]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def gone(demo: Demo) -> None:
    """Wait until neither a process nor a file of the demo is left."""
    give_up_s = time.monotonic() + PATIENCE_S
    while relics := demo.relics():
        assert time.monotonic() < give_up_s, f"left behind: {relics}"
        time.sleep(0.1)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Demo]]:
    demos: list[Demo] = []
    yield demos
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.wait()
        shutil.rmtree(demo.sockets)


def start(started: list[Demo], tmp_path: Path, *arguments: str) -> Demo:
    demo = Demo(tmp_path, *arguments)
    started.append(demo)
    return demo


def test_ten_minutes_end_with_a_report_and_leave_nothing_behind(started: list[Demo], tmp_path: Path) -> None:
    folder = tmp_path / "report"
    hours = str(10.0 / 60.0)
    demo = start(
        started, tmp_path, "--speed", "120", "--hours", hours, "--start", "11:55", "--report", str(folder)
    )  # fmt: skip
    assert demo.process.wait(PATIENCE_S) == 0, demo.said()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert {"limits", "units", "cycle_ms", "polls", "seed", "speed"} <= set(report)
    assert report["completed"] is True
    assert report["hours"] == pytest.approx(10.0 / 60.0, abs=0.01)
    assert [limit["id"] for limit in report["limits"]] == [limit.id for limit in FIELD.limits]
    assert all(limit["highest_frac"] > 0.0 for limit in report["limits"])
    assert report["polls"]["ok"] > 100
    assert report["cycle_ms"]["p50"] > 0.0
    assert report["uncontrolled"]["limits"][0]["highest_frac"] > 0.0
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    assert "\n12:0" in "\n" + demo.said()
    gone(demo)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_everything_and_still_writes_the_report(
    started: list[Demo], tmp_path: Path, number: signal.Signals, status: int
) -> None:
    demo = start(started, tmp_path, "--speed", "3600", "--start", "11:50", "--report", str(tmp_path / "report"))
    demo.until(UNDER_CONTROL)
    demo.process.send_signal(number)
    assert demo.process.wait(PATIENCE_S) == status, demo.said()
    gone(demo)
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert report["completed"] is False


def test_the_death_of_the_simulator_ends_the_demo_and_says_so(started: list[Demo], tmp_path: Path) -> None:
    demo = start(started, tmp_path, "--speed", "3600", "--start", "11:50")
    demo.until(UNDER_CONTROL)
    os.kill(demo.children()["simulate"], signal.SIGKILL)
    assert demo.process.wait(PATIENCE_S) == 1
    assert "the simulator ended with status -9" in demo.said()
    gone(demo)


def unplug(demo: Demo, *arguments: str) -> str:
    """What the other terminal says."""
    (socket_path,) = demo.sockets.glob("gridedge-demo-*/status")
    result = CliRunner().invoke(unplug_command, [*arguments, "--socket", str(socket_path)])
    return result.output


def test_a_controller_that_dies_is_started_again_and_the_day_goes_on(started: list[Demo], tmp_path: Path) -> None:
    demo = start(started, tmp_path, "--speed", "1200", "--start", "02:55", "--no-compare", "--report", str(tmp_path))
    demo.until(UNDER_CONTROL)
    os.kill(demo.children()["run"], signal.SIGKILL)
    time.sleep(1.0)  # what is said from now on is not of the one that died
    died = demo.said()
    demo.until(UNDER_CONTROL, after=died)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(PATIENCE_S) == 130, demo.said()
    gone(demo)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    counts = report["events"]["counts"]
    assert (counts["controller.off"], counts["controller.on"]) == (1, 1)
    assert all(limit["highest_frac"] <= 1.05 for limit in report["limits"]), "while it was away too"


def test_the_box_stays_off_until_its_plug_is_put_back(started: list[Demo], tmp_path: Path) -> None:
    demo = start(started, tmp_path, "--speed", "1200", "--start", "02:55", "--no-compare", "--report", str(tmp_path))
    demo.until(UNDER_CONTROL)
    assert "controller" in unplug(demo)
    assert unplug(demo, "controller", "--how", "freeze").startswith("Error: the controller can be unplugged or killed")
    assert unplug(demo, "controller") == "controller is off\n"
    demo.until(OFF)
    assert unplug(demo, "controller") == "Error: the controller is off already\n"
    assert unplug(demo, "controller", "--back") == "controller is put back\n"
    demo.until(UNDER_CONTROL, after=OFF)
    assert unplug(demo, "controller", "--back").startswith("Error: the controller is running")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(PATIENCE_S) == 130, demo.said()
    gone(demo)


def test_the_children_of_a_killed_demo_end_by_themselves(started: list[Demo], tmp_path: Path) -> None:
    demo = start(started, tmp_path, "--speed", "3600", "--start", "11:50")
    demo.until(UNDER_CONTROL)
    assert set(demo.children()) == {"run", "simulate"}
    demo.process.kill()
    give_up_s = time.monotonic() + PATIENCE_S
    while outliving := demo.processes():
        assert time.monotonic() < give_up_s, f"outlived the demo: {outliving}"
        time.sleep(0.1)


def test_a_taken_port_moves_the_whole_site_and_is_said() -> None:
    host, port = "127.0.0.1", next(port for port in iter(free_port, 0) if is_free(port + 1000))
    site = dataclasses.replace(FIELD, devices=(dataclasses.replace(FIELD.devices[0], endpoint=f"{host}:{port}"),))
    with socket.create_server((host, port)):
        assert free_offset(site) == (1000, f"{host}:{port}")
        with pytest.raises(NoFreePorts, match=rf"port {host}:{port} is taken"):
            free_offset(site, (0,))


def test_demos_that_start_together_get_ports_of_their_own() -> None:
    """Though neither listens yet."""
    first, _, claim = claimed_offset(FIELD)
    with claim:
        second, taken, other = claimed_offset(FIELD)
        with other:
            assert second > first
            assert taken


def test_a_site_that_does_not_exist_is_refused_in_one_line(started: list[Demo], tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "controller", "demo", "atlantis"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert refused.returncode == 1
    assert "no site file 'atlantis'" in refused.stderr
    assert "Traceback" not in refused.stderr
