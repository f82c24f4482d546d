"""An OpenADR event becomes exactly what it says, or nothing at all."""

from __future__ import annotations

import math
from typing import Any

import platform_kit as kit
import pytest

from controller.balancing.command import Command, Kind, Part, Step
from controller.balancing.openadr.events import ReactivePayload, to_command
from controller.balancing.openadr.models import Event, Program, parse
from controller.balancing.openadr.strict_json import Malformed, read_json
from controller.balancing.openadr.times import NOW, duration_s, instant_text, instant_utc_s

EIGHT = instant_utc_s("2027-01-15T08:00:00Z")


def command(**changes: Any) -> Command:
    return to_command(parse(Event, kit.event(**changes)), parse(Program, kit.PROGRAM), kit.DSO)


def payload(kind: str, *values: Any) -> list[dict[str, Any]]:
    return [{"id": 0, "payloads": [{"type": kind, "values": list(values)}]}]


def in_kw(kind: str) -> list[dict[str, str]]:
    return [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": "KW"}]


def test_an_operating_envelope_becomes_one_command_with_its_half_hours() -> None:
    found = command()
    issued_s = EIGHT - 60.0
    assert (found.id, found.issuer, found.counter, found.issued_utc_s) == ("e1", kit.DSO, issued_s * 1e6, issued_s)
    assert found.priority == 2
    half = 1800.0
    steps = tuple(Step(EIGHT + k * half, EIGHT + (k + 1) * half, w) for k, w in enumerate((5e6, 3500.5e3, 0.0)))
    assert found.parts == (Part(Kind.LIMIT, "export", steps),)


def test_units_may_stand_in_the_program() -> None:
    program = parse(Program, kit.PROGRAM | {"payloadDescriptors": in_kw("EXPORT_CAPACITY_LIMIT")})
    found = to_command(parse(Event, kit.event(payloadDescriptors=None)), program, kit.DSO)
    assert found == command()


def test_consumption_is_positive_and_generation_negative() -> None:
    for kind, w in (("DISPATCH_SETPOINT", 250e3), ("GRIDEDGE_GENERATION_SETPOINT", -250e3)):
        found = command(intervals=payload(kind, 250), payloadDescriptors=in_kw(kind), targets=["BAT1", "BAT2"])
        assert [(p.kind, p.subject, p.steps[0].w) for p in found.parts] == [
            (Kind.SET_POINT, "BAT1", w),
            (Kind.SET_POINT, "BAT2", w),
        ]


def test_several_values_share_their_interval() -> None:
    found = command(intervals=payload("EXPORT_CAPACITY_LIMIT", 1, 2, 3))
    assert [(s.start_utc_s - EIGHT, s.end_utc_s - EIGHT, s.w) for s in found.parts[0].steps] == [
        (0.0, 600.0, 1e3),
        (600.0, 1200.0, 2e3),
        (1200.0, 1800.0, 3e3),
    ]


def test_a_subscription_may_have_no_end_and_now_is_when_it_was_issued() -> None:
    kind = "IMPORT_CAPACITY_SUBSCRIPTION"
    always = {"start": "0001-01-01T00:00:00Z", "duration": "P9999Y"}
    found = command(intervals=payload(kind, 40), payloadDescriptors=in_kw(kind), intervalPeriod=always)
    assert found.parts == (Part(Kind.SUBSCRIPTION, "import", (Step(EIGHT - 60.0, math.inf, 40e3),)),)


REACTIVE = "GRIDEDGE_REACTIVE_SETPOINT"


def in_kvar(kind: str) -> list[dict[str, str]]:
    return [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": "KVAR"}]


@pytest.mark.parametrize("value", [1500, -800.5, 0])
def test_reactive_power_is_asked_for_at_the_interface_in_both_directions(value: float) -> None:
    found = command(intervals=payload(REACTIVE, value), payloadDescriptors=in_kvar(REACTIVE))
    assert [(p.kind, p.subject, p.steps[0].w) for p in found.parts] == [(Kind.REACTIVE, "interface", value * 1e3)]


def test_the_site_file_says_what_the_platform_calls_it_and_what_its_sign_means() -> None:
    changes = {"intervals": payload("CONTROL_SETPOINT", 800), "payloadDescriptors": in_kvar("CONTROL_SETPOINT")}
    theirs = ReactivePayload("CONTROL_SETPOINT", -1.0)
    found = to_command(parse(Event, kit.event(**changes)), parse(Program, kit.PROGRAM), kit.TSO, theirs)
    assert found.parts[0].steps[0].w == -800e3
    with pytest.raises(Malformed, match="CONTROL_SETPOINT' is not spoken"):
        command(**changes)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"payloadDescriptors": None}, "units of EXPORT_CAPACITY_LIMIT are None"),
    ({"payloadDescriptors": [{"payloadType": "EXPORT_CAPACITY_LIMIT", "units": "W"}]}, "units"),
    ({"intervals": payload("EXPORT_CAPACITY_LIMIT", "lots")}, "expected a finite number"),
    ({"intervals": payload("EXPORT_CAPACITY_LIMIT", True)}, "expected a finite number"),
    ({"intervals": payload("EXPORT_CAPACITY_LIMIT", -1)}, "expected a finite number"),
    ({"intervals": payload("EXPORT_CAPACITY_LIMIT", math.nan)}, "payloads.0.values.0"),
    ({"intervals": payload("EXPORT_CAPACITY_LIMIT", math.inf)}, "payloads.0.values.0"),
    ({"intervals": payload("EXPORT_CAPACITY_LIMIT")}, "no value"),
    ({"intervals": payload("PRICE", 3)}, "not spoken"),
    ({"intervals": payload("GRIDEDGE_REACTIVE_SETPOINT", 3)}, "units of GRIDEDGE_REACTIVE_SETPOINT are None"),
    ({"intervals": payload(REACTIVE, 3), "payloadDescriptors": in_kw(REACTIVE)}, "are 'KW'; expected a payload"),
    ({"intervals": payload(REACTIVE, "x"), "payloadDescriptors": in_kvar(REACTIVE)}, "expected a finite number"),
    ({"intervals": payload(REACTIVE, 10**400), "payloadDescriptors": in_kvar(REACTIVE)}, "finite number"),
    ({"intervals": payload("CHARGE_STATE_SETPOINT", 50)}, "not spoken"),
    ({"intervals": 2 * payload("EXPORT_CAPACITY_LIMIT", 1)}, "same id"),
    ({"intervals": []}, "intervals"),
    ({"intervals": payload("DISPATCH_SETPOINT", 1), "payloadDescriptors": in_kw("DISPATCH_SETPOINT")}, "needs targets"),
    ({"modificationDateTime": None, "createdDateTime": None}, "modificationDateTime is missing"),
    ({"modificationDateTime": "2027-01-15T07:59:00"}, "no instant"),
    ({"modificationDateTime": "0001-01-01T00:00:00Z"}, "no instant of this age"),
    ({"modificationDateTime": "2027-02-30T07:59:00Z"}, "no instant"),
    ({"intervalPeriod": {"start": "2027-01-15T08:00:00Z"}}, "no duration"),
    ({"intervalPeriod": {"duration": "PT30M"}}, "no start"),
    ({"intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "P1M"}}, "no duration above zero"),
    ({"intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT0S"}}, "no duration above zero"),
    ({"duration": "P1D"}, "repeating is not spoken"),
    ({"priority": -1}, "priority"),
    ({"priority": 1.5}, "priority"),
    ({"programID": "../etc"}, "programID"),
    ({"export_limit": 5}, "export_limit"),
    ({"id": None}, "id"),
    ({"modificationDateTime": "2027-01-15T07:59:60Z"}, "no instant"),
    ({"modificationDateTime": "\u0662\u0660\u0662\u0667-01-15T07:59:00Z"}, "no instant"),
    (
        {
            "intervals": payload("DISPATCH_SETPOINT", *[1] * 101),
            "payloadDescriptors": in_kw("DISPATCH_SETPOINT"),
            "targets": [f"BAT{k}" for k in range(200)],
        },
        "20200 values for all its resources; expected at most 20000",
    ),
]


@pytest.mark.parametrize(("changes", "why"), BAD)
def test_what_is_not_said_exactly_is_refused_whole(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        command(**changes)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": -Infinity}',
        '{"a": 1, "a": 2}',
        '{"a": [1',
        "\xff",
        "[" * 100_000,
        "[" * 34 + "]" * 34,
        "9" * 20,
        "",
    ],
)
def test_json_that_readers_read_differently_is_no_json(text: str) -> None:
    with pytest.raises(Malformed):
        read_json(text.encode("latin-1"), 1 << 20)
    with pytest.raises(Malformed, match="at most 3"):
        read_json(b"[1, 2]", 3)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT30M", 1800.0), ("PT1H30M", 5400.0), ("P1D", 86_400.0), ("P1DT1S", 86_401.0), ("P2W", 1_209_600.0)],
)
def test_durations_are_those_of_iso_8601(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "30M", "PT-5M", "P1Y", "PT1.5H", "pt5m", "PT5M ", "PT\u0663M", "-PT1H", "P0D"]
)
def test_what_is_no_duration_of_a_fixed_length_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        duration_s(text)


def test_instants_name_their_zone_and_come_back_as_they_went() -> None:
    assert instant_utc_s("2027-01-15T09:00:00+01:00") == EIGHT
    assert instant_text(EIGHT + 0.25) == "2027-01-15T08:00:00.250Z"
    assert instant_utc_s("0001-01-01T00:00:00Z") == NOW
