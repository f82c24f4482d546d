"""The picture on the screen: golden text, and what must be on it whatever the size of the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from demo_samples import NOON_S, day_at_noon, setting, status
from rich.console import Console

from simulators.demo.day import Day
from simulators.demo.diagram import Flows, one_line
from simulators.demo.screen import Snapshot, svg
from simulators.demo.view import picture
from simulators.demo.view_units import because

GOLDEN = Path(__file__).parent / "golden"


def rendered(day: Day, width: int, height: int = 60) -> str:
    """The picture as plain text, without trailing blanks."""
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(day, day.course.t_s, width, height))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize(
    ("name", "controlled", "width", "height"),
    [("live_120", True, 120, 60), ("live_80x24", True, 80, 24), ("no_control_100", False, 100, 50)],
)
def test_the_screen_looks_like_this(name: str, controlled: bool, width: int, height: int) -> None:
    """After a wanted change, delete the golden file: the next run writes it anew, and fails once."""
    shown, path = rendered(day_at_noon(controlled, compared=controlled), width, height), GOLDEN / f"{name}.txt"
    if not path.exists():
        path.write_text(shown, encoding="utf-8")
        pytest.fail(f"{path.name} was missing and has been written; look at it")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 92, 100, 111, 120, 200])
@pytest.mark.parametrize("height", [24, 30, 40, 60])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    lines = rendered(day_at_noon(), width, height).splitlines()
    assert max(len(line) for line in lines) <= width
    assert len(lines) <= height


def test_the_truth_the_controllers_belief_and_the_other_world_stand_side_by_side() -> None:
    line = next(line for line in rendered(day_at_noon(), 120).splitlines() if line.startswith("│ T1 "))
    assert line.index("99 %") < line.index("98 %") < line.index("118 %")


def test_the_stretched_cycle_is_said() -> None:
    text = rendered(day_at_noon(), 120)
    assert "control cycle stretched ×3.6: 3.6 s of the site instead of 1 s" in text


def test_a_machine_that_cannot_keep_up_is_not_passed_over() -> None:
    day = Day(setting())
    for k in range(20):
        day.take_status(status(k * 72.0), heard_s=k * 0.5)
    assert "manages" not in rendered(day, 120)
    for k in range(20):
        day.take_status(status(1440.0 + k * 36.0), heard_s=10.0 + k * 0.5)
    assert "this machine manages 72×" in rendered(day, 120)


def test_a_unit_that_only_gives_reactive_power_is_not_called_held_back() -> None:
    limits = {limit.id: limit for limit in setting().site.limits}
    assert because(["N3.voltage", "T1.thermal"], limits) == "N3 voltage, T1 current"
    assert because(["N3.voltage", "T1.thermal"], limits, reactive=True) == "vars for N3, T1"
    assert because(["mode.fail_safe"], limits) == "fail-safe"
    assert because(["unit.lost"], limits) == "no telemetry"


def test_directions_are_words_not_signs() -> None:
    text = rendered(day_at_noon(), 120)
    assert "generating 8.4 MW" in text
    assert "charging 1.0 MW" in text
    assert "export 11.9 MW" in text
    assert "-8.4" not in text


def test_before_the_first_line_there_is_a_picture_too() -> None:
    text = rendered(Day(setting()), 100)
    assert "the controller is starting" in text
    assert "00:00:00" in text


@pytest.mark.parametrize("name", ["secondary_rooftop", "ev_charging"])
def test_every_shipped_site_has_a_one_line_diagram(name: str) -> None:
    site = setting(name=name).site
    flows = Flows(
        branch_p_w={branch.id: 1e3 for branch in site.topology.branches},
        branch_frac={branch.id: 0.5 for branch in site.topology.branches},
        bus_u_v={bus.id: bus.u_rated_v for bus in site.topology.buses},
        unit_p_w={unit.id: -1e3 for unit in site.units},
        interface_p_w=-1e3,
    )
    drawing = one_line(site, flows, 96)
    assert drawing is not None
    drawn = drawing.plain
    assert all(item.id in drawn for item in (*site.topology.buses, *site.topology.branches, *site.units))


def test_the_snapshot_is_taken_once_at_its_time_and_fetches_nothing_from_the_network(tmp_path: Path) -> None:
    path = tmp_path / "demo.svg"
    early, due = Snapshot(path, NOON_S + 1.0), Snapshot(path, NOON_S)
    early.look(day_at_noon(), NOON_S)
    assert not path.exists()
    due.look(day_at_noon(), NOON_S)
    assert path.read_text(encoding="utf-8") == svg(day_at_noon(), NOON_S)
    addresses = [line for line in path.read_text(encoding="utf-8").splitlines() if "http" in line]
    assert addresses == [line for line in addresses if 'xmlns="http://www.w3.org/2000/svg"' in line]
