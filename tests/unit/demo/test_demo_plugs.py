"""What the other terminal may pull besides the field's plugs, and what it is told."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from demo_samples import setting

from simulators.demo.counterparts import PlatformPlug
from simulators.demo.day import Day
from simulators.demo.plugs import Plugs, Refused
from simulators.faults import FaultKind


class Lamp:
    """A plug that remembers."""

    name, what = "lamp", "light"

    def __init__(self) -> None:
        self.away_s = 0.0

    def pull(self, kind: FaultKind, for_s: float) -> None:
        if kind is not FaultKind.SILENT:
            raise Refused("the lamp can only be unplugged")
        self.away_s = for_s

    def put_back(self) -> None:
        self.away_s = 0.0


def test_a_plug_is_pulled_for_a_time_or_until_it_is_put_back() -> None:
    lamp = Lamp()
    plugs = Plugs([lamp])
    assert plugs.answer({"fault": "silent", "device": "lamp", "for_s": 60.0}) == {"ok": True, "device": "lamp"}
    assert lamp.away_s == 60.0
    assert plugs.answer({"fault": "silent", "device": "lamp"})["ok"]
    assert lamp.away_s == math.inf
    assert plugs.answer({"mend": "lamp"}) == {"ok": True, "device": "lamp"}
    assert lamp.away_s == 0.0
    assert [row["device"] for row in plugs.answer({"devices": True})["devices"]] == ["lamp"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"mend": "sun"}, "nothing of the demo is called 'sun'; expected one of lamp"),
        ({"fault": "killed", "device": "lamp"}, "the lamp can only be unplugged"),
        ({"fault": "broken", "device": "lamp"}, "'broken' is not a valid FaultKind"),
        ({"device": "lamp"}, "'fault'"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(command: dict[str, Any], reason: str) -> None:
    lamp = Lamp()
    assert Plugs([lamp]).answer(command) == {"ok": False, "error": reason}
    assert lamp.away_s == 0.0


def test_the_platform_is_told_until_when_it_is_away_and_is_back_at_once() -> None:
    said: list[str] = []
    plug = PlatformPlug(Day(setting()), lambda document: said.append(json.dumps(document)))
    with pytest.raises(Refused, match="the platform's plug is in"):
        plug.put_back()
    with pytest.raises(Refused, match="can only be unplugged"):
        plug.pull(FaultKind.FROZEN, 60.0)
    plug.pull(FaultKind.SILENT, 300.0)
    plug.put_back()
    assert [json.loads(line)["out_until_s"] for line in said] == [300.0, -math.inf]
