"""One device after the other is killed under the running controller, until none is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from field_processes import SITE, Bench, bench

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.unit import Unit

pytestmark = pytest.mark.socket

SLACK_FRAC = 0.02  # of rated power: control error and the instruments' noise


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def set_point(record: dict[str, Any], unit_id: str) -> float:
    return next(float(s["p_w"]) for s in record["setpoints"] if s["unit"] == unit_id)


@dataclass
class Told:
    """Whether a unit is told its fail-safe set point; no cycle may say otherwise later than that after the loss.

    The cycles count, not the records that are seen of them, nor how often the machine lets a cycle happen.
    """

    device_id: str
    unit: Unit
    within_s: float
    lost_s: float | None = None

    def __call__(self, record: dict[str, Any]) -> bool:
        if record["devices"][self.device_id]["ok"]:  # once more, before it is dead
            self.lost_s = None
            return False
        self.lost_s = record["now_s"] if self.lost_s is None else self.lost_s
        if set_point(record, self.unit.id) == self.unit.fail_safe.p_w:
            return True
        assert record["now_s"] - self.lost_s <= self.within_s, record
        return False


def test_every_killed_device_leaves_its_unit_safe_and_the_last_one_all_of_them(field: Bench) -> None:
    site = load_site(find_site(SITE))
    units = {unit.id: unit for unit in site.units}
    field.simulate()
    controller = field.run()
    truth, records = field.truth(), field.records()
    records.until(lambda r: r["mode"] == "normal" and all(d["ok"] for d in r["devices"].values()), "a good start")
    for device in sorted(site.devices, key=lambda d: d.unit is None):
        truth.say({"kill": device.id})
        if device.unit is None:
            records.until(lambda r, d=device: not r["devices"][d.id]["ok"], f"{device.id} is missed")
            continue
        unit = units[device.unit]
        told = Told(device.id, unit, site.cycle.fail_safe_s)
        records.until(told, f"{unit.id} is told its fail-safe set point")
        truth.until(
            lambda line, u=unit: (
                "truth" in line
                and abs(line["truth"]["unit_p_w"][u.id]) <= abs(u.fail_safe.p_w) + SLACK_FRAC * u.p_rated_w
            ),
            f"{unit.id} is truly at its fail-safe set point",
        )
    end = records.until(lambda r: r["mode"] == "fail_safe", "nothing is left to see")
    assert {s["unit"]: s["p_w"] for s in end["setpoints"]} == {u.id: u.fail_safe.p_w for u in site.units}
    assert controller.poll() is None
