"""What ``gridedge points`` says about devices that answer, age, complain or lie."""

from __future__ import annotations

import asyncio
import io
import json
import math
from collections.abc import Mapping

import pytest
from rich.console import Console

from controller.clock import ManualClock
from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from controller.field.points_command import chosen
from controller.field.points_view import as_json, as_overview, as_tables, rows
from controller.field.watch import DeviceLines, PointLine, Watch, unit_of

DEVICE = Device("M1", "modbus", "10.0.0.9:502", 7, "meter", {"p_w": "-branch.T1.p_w"}, None, 1.0, 3.0, 0.8)


class Answering:
    """A field device that says what it is told to and remembers whether somebody wrote."""

    def __init__(self, answers: Mapping[str, Measurement]) -> None:
        self.id = "M1"
        self.answers = answers
        self.written = False

    async def poll(self) -> Mapping[str, Measurement]:
        return self.answers

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        self.written = True
        return Outcome(OutcomeState.ACKNOWLEDGED)

    async def aclose(self) -> None: ...

    def raw(self) -> Mapping[str, str]:
        return {"p_w": "4000 1F40"}

    def counts(self) -> Mapping[str, int]:
        return {"ok": 3, "timeouts": 1}


def seen(answer: Measurement, now_s: float = 10.0) -> DeviceLines:
    clock = ManualClock(now_s)
    watch = Watch((DEVICE,), {"M1": Answering({"p_w": answer})}, clock)
    asyncio.run(watch.poll_once())
    return watch.lines()[0]


def test_a_good_value_is_shown_with_its_age_its_registers_and_where_it_goes() -> None:
    lines = seen(Measurement(1500.0, Quality.GOOD, 9.5, 9.6))
    assert lines.points == (PointLine("p_w", 1500.0, "W", Quality.GOOD, "", 0.5, "4000 1F40", "-branch.T1.p_w"),)
    assert lines.ok
    assert lines.counts == {"ok": 3, "timeouts": 1}


@pytest.mark.parametrize(
    ("answer", "quality", "words"),
    [
        (Measurement(1.0, Quality.GOOD, 6.9, 7.0), Quality.STALE, "stale_s, 3 s"),
        (Measurement(math.nan, Quality.GOOD, 9.9, 9.9), Quality.BAD, "nan with good quality"),
        (Measurement(math.nan, Quality.MISSING, 9.9, 9.9, "not implemented"), Quality.MISSING, "not implemented"),
        (Measurement(2.0, Quality.UNCERTAIN, 9.9, 9.9, "server says so"), Quality.UNCERTAIN, "server says so"),
    ],
)
def test_what_is_not_good_is_never_shown_as_good(answer: Measurement, quality: Quality, words: str) -> None:
    lines = seen(answer)
    assert lines.points[0].quality is quality
    assert words in lines.points[0].reason
    assert not lines.ok


def test_looking_never_writes() -> None:
    link = Answering({"p_w": Measurement(1.0, Quality.GOOD, 0.0, 0.0)})
    watch = Watch((DEVICE,), {"M1": link}, ManualClock())
    asyncio.run(watch.poll_once())
    assert not link.written


def test_a_missing_value_is_null_for_programs_and_a_dash_for_people() -> None:
    lines = seen(Measurement(math.nan, Quality.BAD, 9.9, 9.9, "reads \x1b[2Jnonsense"))
    document = json.loads(json.dumps(as_json((lines,), "now"), allow_nan=False))
    (point,) = document["devices"][0]["points"]
    assert point["value"] is None
    assert (point["quality"], point["unit"], point["feeds"]) == ("bad", "W", "-branch.T1.p_w")
    out = io.StringIO()
    Console(file=out, width=160).print(as_tables((lines,)))
    assert "bad" in out.getvalue()
    assert "\x1b" not in out.getvalue(), "what a device says cannot steer the terminal"


@pytest.mark.parametrize(
    ("point", "unit"),
    [("p_w", "W"), ("u_1_v_ln", "V"), ("energy_import_wh", "Wh"), ("soc_frac", ""), ("top_oil_c", "°C"), ("state", "")],
)
def test_the_unit_of_a_point_is_in_its_name(point: str, unit: str) -> None:
    assert unit_of(point) == unit


def test_a_device_that_the_site_does_not_have_is_refused_by_name() -> None:
    assert chosen((DEVICE,), ()) == (DEVICE,)
    with pytest.raises(ValueError, match=r"device 'M2' is not in the site; expected one of M1"):
        chosen((DEVICE,), ("M2",))


def lines_of(points: Mapping[str, Measurement]) -> DeviceLines:
    watch = Watch((DEVICE,), {"M1": Answering(points)}, ManualClock(10.0))
    asyncio.run(watch.poll_once())
    return watch.lines()[0]


def shown(part: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


REFUSED = "no connection to 10.0.0.9:502: Connection refused"


def test_a_device_that_is_not_reached_is_said_in_one_line() -> None:
    nothing = {name: Measurement(math.nan, Quality.MISSING, 9.0, 9.0, REFUSED) for name in ("p_w", "i_1_a")}
    nothing["i_a"] = Measurement(math.nan, Quality.MISSING, 9.0, 9.0, f"i_1_a: {REFUSED}")
    said = shown(as_tables((lines_of(nothing),)))
    assert said.count(REFUSED) == 1
    assert "all 3 points" in said
    some = nothing | {"f_hz": Measurement(50.0, Quality.GOOD, 9.0, 9.0)}
    assert shown(as_tables((lines_of(some),))).count(REFUSED) == 3


def test_a_screen_that_is_too_small_gets_a_line_for_each_device() -> None:
    good = {name: Measurement(1.0, Quality.GOOD, 9.0, 9.0) for name in ("p_w", "q_var", "f_hz")}
    bad = good | {"q_var": Measurement(math.nan, Quality.BAD, 9.0, 9.0, "reads 1e9 var")}
    lost = {"p_w": Measurement(math.nan, Quality.MISSING, 9.0, 9.0, REFUSED)}
    devices = (lines_of(good), lines_of(bad), lines_of(lost))
    assert rows(devices) == 7 + 7 + 5
    said = shown(as_overview(devices)).splitlines()
    assert "3 of 3" in said[1]
    assert "2 of 3" in said[2]
    assert "q_var: reads 1e9 var" in said[2]
    assert "0 of 1" in said[3]
    assert REFUSED in said[3]
