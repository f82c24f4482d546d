"""A profile table is taken whole or refused with file, place and expectation."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from drivers.profile import FailBehaviour
from drivers.profile_fields import ProfileError
from drivers.profile_loader import load_profile, parse_profile, profile_ids
from drivers.registry import catalogue

MODBUS = """
id: test_meter
kind: meter
title: Test
protocol: modbus
source: a manual
defaults: {type: int16, unit: W, ref: p. 1}
points:
  p_w: {at: 10, sf: w_sf, low: -5, high: 5}
  w_sf: {at: 11, unit: "1"}
  limit_w: {at: 12, access: rw}
  lease_s: {at: 13, type: uint16, access: rw}
derived: {q_var: {op: max, of: [p_w, limit_w]}}
commands: {p_w: {point: limit_w, lease_point: lease_s}}
read: {registers_max: 20, gap_max: 2, forbidden: [[90, 99]], turnaround_s: 0.02}
identity: {w_sf: 0}
"""

OPCUA = """
id: test_der
kind: der
title: Test
protocol: opcua
source: a specification
fails: fails_open
namespace_uri: urn:test
root: [Plant, Unit]
points:
  p_w: {path: [P], type: Double, unit: W, ref: p. 1, scale: -1000}
"""


def refused(text: str, *parts: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "bad.yaml")
    for part in ("bad.yaml", *parts):
        assert part in str(caught.value)


def test_a_modbus_table_becomes_a_profile() -> None:
    profile = parse_profile(MODBUS, "test.yaml")
    point = profile.point("p_w")
    assert (point.address, point.type, point.sf, point.ref, point.low) == (10, "int16", "w_sf", "p. 1", -5.0)
    assert profile.read.forbidden == ((90, 99),)
    assert profile.derived[0].of == ("p_w", "limit_w")
    command = profile.command("p_w")
    assert command is not None
    assert command.lease_point == "lease_s"
    assert profile.identity == {"w_sf": 0.0}


def test_an_opcua_table_becomes_a_profile() -> None:
    profile = parse_profile(OPCUA, "test.yaml")
    assert profile.root == ("Plant", "Unit")
    assert profile.point("p_w").path == ("P",)
    assert profile.point("p_w").scale == -1000.0
    assert profile.fails is FailBehaviour.FAILS_OPEN


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ("kind: meter", "kind: Meter!", ".kind", "lower-case"),
        ("kind: meter\n", "", ".kind", "is missing"),
        ("protocol: modbus", "protocol: profibus", ".protocol", "one of modbus, opcua"),
        ("source: a manual", "source: 7", ".source", "a non-empty text"),
        ("title: Test", "title: Test\ncolour: red", ".colour", "unknown key"),
        ("title: Test", "title: Test\ntitle: Again", "line 5", "given twice"),
        ("title: Test", "title: &a Test\nfails: *a", "line 5", "an alias"),
        ("ref: p. 1}", "ref: ''}", ".points.p_w.ref", "a non-empty text"),
        (", ref: p. 1}", "}", ".points.p_w.ref", "is missing"),
        ("{at: 10,", "{at: 70000,", ".points.p_w.at", "from 0 to 65535"),
        ("{at: 10,", "{at: '10',", ".points.p_w.at", "a whole number"),
        ("{at: 10,", "{at: 1.5,", ".points.p_w.at", "a whole number"),
        ("{at: 10,", "{at: true,", ".points.p_w.at", "a whole number"),
        ("{at: 10,", "{", ".points.p_w.at", "is missing"),
        ("{at: 10,", "{at: 11,", ".points.w_sf.at", "belongs to p_w"),
        ("{at: 10,", "{at: 10, type: int32,", ".points.w_sf.at", "belongs to p_w"),
        ("{at: 10,", "{at: 10, type: int24,", ".points.p_w.type", "one of int16"),
        ("{at: 10,", "{at: 10, type: string,", ".points.p_w.length", "registers for a string"),
        ("{at: 10,", "{at: 10, length: 2,", ".points.p_w.length", "nothing otherwise"),
        ("{at: 10,", "{at: 10, colour: red,", ".points.p_w.colour", "unknown key"),
        ("{at: 10,", "{at: 10, path: [a],", ".points.p_w.path", "unknown key"),
        ("{at: 10,", "{at: 10, scale: .nan,", ".points.p_w.scale", "a finite number"),
        ("{at: 10,", "{at: 10, scale: 0,", ".points.p_w.scale", "expected 1e-12 to 1e+12"),
        ("{at: 10,", "{at: 10, scale: 1.0e+308,", ".points.p_w.scale", "expected 1e-12 to 1e+12"),
        ("{at: 10,", "{at: 10, scale: -5.0e-324,", ".points.p_w.scale", "expected 1e-12 to 1e+12"),
        ("{at: 10,", f"{{at: 10, scale: 1{'0' * 400},", ".points.p_w.scale", "a finite number"),
        ("{at: 10,", f"{{at: 10{'0' * 5000},", "bad.yaml", "not YAML"),
        ("{at: 10,", "{at: 2001-02-31,", "bad.yaml", "not YAML"),
        ("{at: 10,", "{[1]: 10,", "line ", "expected a text"),
        ("{at: 10,", "{at: -1,", ".points.p_w.at", "from 0 to 65535"),
        ("{at: 10,", "{at: 10, access: w,", ".derived.q_var.of", "a point that is read"),
        ("{at: 10,", "{at: 95,", ".points.p_w.at", "outside read.forbidden"),
        ("{at: 10,", f"{{at: 0x{'f' * 5000},", ".points.p_w.at", "a number of thousands of digits"),
        ("[[90, 99]]", "[[99, 90]]", ".read.forbidden", "before the last"),
        ("identity: {w_sf: 0}", "identity: {p_w: 0}", ".identity.p_w", "read as it stands"),
        ("title: Test", "title: Test\nserial_number: {at: 1, type: float32, ref: p}", ".serial_number", "whole number"),
        ("title: Test", "title: Test\nserial_number: {at: 1, type: string, ref: p}", ".serial_number", "for a string"),
        ("title: Test", "title: Test\nserial_number: {at: 1, type: uint32}", ".serial_number.ref", "is missing"),
        ("{at: 10,", "{at: 10, scale: 1e-3,", ".points.p_w.scale", "a finite number"),
        ("{at: 10,", "{at: 10, missing: [40000],", ".points.p_w.missing", "-32768 to 32767"),
        ("{at: 10,", "{at: 10, table: input, access: rw,", ".points.p_w.access", "cannot be written"),
        ("high: 5", "high: -5", ".points.p_w.high", "more than low"),
        ("sf: w_sf", "sf: x_sf", ".points.p_w.sf", "an int16 point"),
        ("sf: w_sf", "sf: lease_s", ".points.p_w.sf", "an int16 point"),
        ("  p_w: {at", "  P-W: {at", ".points.P-W", "lower-case"),
        ("of: [p_w, limit_w]", "of: [p_w, nothing]", ".derived.q_var.of", "the name of a point"),
        ("of: [p_w, limit_w]", "of: []", ".derived.q_var.of", "a list of texts"),
        ("op: max", "op: median", ".derived.q_var.op", "one of max"),
        ("derived: {q_var", "derived: {p_w", ".derived.p_w", "a name of its own"),
        ("commands: {p_w", "commands: {s_va", ".commands.s_va", "one of generation_w_max"),
        ("{point: limit_w", "{point: p_w", ".commands.p_w.point", "can be written"),
        ("lease_point: lease_s", "lease_point: nothing", ".commands.p_w.lease_point", "can be written"),
        ("lease_point: lease_s", "of: nothing", ".commands.p_w.of", "can be read"),
        ("registers_max: 20", "registers_max: 126", ".read.registers_max", "from 1 to 125"),
        ("[[90, 99]]", "[[90]]", ".read.forbidden", "[first, last]"),
        ("turnaround_s: 0.02", "turnaround_s: 2", ".read.turnaround_s", "from 0 to 1"),
        ("identity: {w_sf: 0}", "identity: {x: 0}", ".identity.x", "the name of a point"),
        ("identity: {w_sf: 0}", "identity: {w_sf: a}", ".identity.w_sf", "a finite number"),
        ("defaults: {", "defaults: {scale: 2, ", ".defaults.scale", "unknown key"),
        ("points:", "points: []\nrest:", ".points", "a mapping"),
    ],
)
def test_a_fault_in_the_table_is_refused_with_its_place(old: str, new: str, where: str, expected: str) -> None:
    assert old in MODBUS
    refused(MODBUS.replace(old, new, 1), where, expected)


def test_a_point_that_is_wider_than_the_device_lets_us_read_is_refused() -> None:
    wide = MODBUS.replace("type: uint16", "type: float64").replace("registers_max: 20", "registers_max: 3")
    refused(wide, ".points.lease_s: has 4 registers; expected at most read.registers_max, 3")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("namespace_uri: urn:test\n", "", "namespace_uri or root is missing"),
        ("root: [Plant, Unit]\n", "", "namespace_uri or root is missing"),
        ("{path: [P],", "{", ".points.p_w.path"),
        ("{path: [P],", "{path: [P], at: 4,", ".points.p_w.at"),
    ],
)
def test_a_fault_in_an_opcua_table_is_refused(old: str, new: str, where: str) -> None:
    refused(OPCUA.replace(old, new, 1), where)


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "id: [", "\x00", "id: !!python/object:os.system {}", "points: {}", "[" * 5000]
)
def test_what_is_not_a_table_is_refused(text: str) -> None:
    refused(text)


def test_an_unknown_profile_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"profile '../x' is unknown; expected one of .*sunspec_der"):
        load_profile("../x")


def test_every_profile_that_comes_along_loads_and_cites_a_source_for_each_point() -> None:
    for profile_id in profile_ids():
        profile = load_profile(profile_id)
        assert profile.source
        assert all(spec.ref for spec in profile.points)


def test_the_catalogue_names_derived_points_and_read_backs() -> None:
    known = catalogue()
    assert {"u_v", "i_a", "p_w"} <= (known.points("janitza_umg96") or set())
    assert {"p_set_w", "q_set_var"} <= (known.points("sunspec_battery") or set())
    assert "q_set_var" not in (known.points("ev_hub") or set())
    assert known.commands("ev_hub") == {"consumption_w_max"}
    assert known.points("nothing") is None
    assert known.commands("nothing") is None


STARTS = {1: 40002, 701: 40070, 702: 40225, 704: 40277, 713: 40344}


@pytest.mark.parametrize("profile_id", ["sunspec_der", "sunspec_battery"])
def test_every_sunspec_address_type_and_scale_factor_is_that_of_the_published_model(profile_id: str) -> None:
    profile = load_profile(profile_id)
    for spec in profile.points:
        if spec.name in ("sunspec_marker", "model_end"):
            continue
        _, model, name = spec.ref.split()[:3]
        fields = sunspec_fields(int(model))
        offset, kind, sf, writable = fields[name]
        assert spec.address == STARTS[int(model)] + offset, spec.ref
        assert spec.type == {"enum16": "uint16", "sunssf": "int16"}.get(kind, kind), spec.ref
        assert spec.access == "r" or writable, spec.ref
        assert (spec.sf is None) == (sf is None), spec.ref
        if spec.sf is not None:
            assert profile.point(spec.sf).ref.split()[:3] == ["SunSpec", model, sf], spec.ref


@pytest.mark.parametrize(("model", "after"), [(1, 701), (701, 702), (702, 704), (704, 713)])
def test_the_sunspec_models_follow_each_other_without_a_gap(model: int, after: int) -> None:
    assert STARTS[model] + sunspec_size(sunspec_group(model)) == STARTS[after]


def sunspec_group(model: int) -> dict[str, object]:
    text = (files("sunspec2") / "models" / "json" / f"model_{model}.json").read_text("utf-8")
    group: dict[str, object] = json.loads(text)["group"]
    return group


def sunspec_size(group: dict[str, object]) -> int:
    own = sum(point["size"] for point in group["points"])  # type: ignore[attr-defined]
    return int(own + sum(sunspec_size(part) for part in group.get("groups", [])))  # type: ignore[attr-defined]


def sunspec_fields(model: int) -> dict[str, tuple[int, str, object, bool]]:
    out, offset = {}, 0
    for point in sunspec_group(model)["points"]:  # type: ignore[attr-defined]
        out[point["name"]] = (offset, point["type"], point.get("sf"), point.get("access") == "RW")
        offset += point["size"]
    return out
