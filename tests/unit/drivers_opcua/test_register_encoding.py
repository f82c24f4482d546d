"""The register image that a simulated device shows on Modbus."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.profile import FailBehaviour, PointSpec, Profile, ReadRules
from drivers.profile_loader import load_profile, profile_ids
from simulators.adapters.encoding import RegisterMap, WriteRefusedError, decode, encode, word_count

INTEGER_TYPES = {"int16": 15, "uint16": 16, "int32": 31, "uint32": 32, "int64": 63, "uint64": 64}
ORDERS = [(words, octets) for words in ("high_first", "low_first") for octets in ("big", "little")]


def _spec(kind: str, **more: object) -> PointSpec:
    return PointSpec("x", kind, "W", "test", address=0, **more)  # type: ignore[arg-type]


def _profile(*points: PointSpec, **more: object) -> Profile:
    return Profile("t", "meter", "t", "modbus", "test", FailBehaviour.HOLDS_LAST, points, **more)  # type: ignore[arg-type]


@given(
    kind=st.sampled_from(list(INTEGER_TYPES)),
    order=st.sampled_from(ORDERS),
    scale=st.sampled_from([1.0, -1.0, 0.1, 1000.0]),
    exponent=st.integers(-3, 3),
    raw=st.integers(-30_000, 60_000),
)
def test_an_integer_survives_every_order_and_scale(
    kind: str, order: tuple[str, str], scale: float, exponent: int, raw: int
) -> None:
    low = -(1 << INTEGER_TYPES[kind]) + 1 if kind[0] == "i" else 0
    number = max(low, min(raw, (1 << INTEGER_TYPES[kind]) - 2))
    spec = _spec(kind, word_order=order[0], scale=scale)
    value = number * scale * 10.0**exponent
    words = encode(spec, value, exponent, order[1])
    assert len(words) == word_count(spec)
    assert decode(spec, words, exponent, order[1]) == pytest.approx(value, rel=1e-12)


@given(st.sampled_from(["float32", "float64"]), st.sampled_from(ORDERS), st.floats(-1e9, 1e9, width=32))
def test_a_float_survives_every_order(kind: str, order: tuple[str, str], value: float) -> None:
    spec = _spec(kind, word_order=order[0])
    assert decode(spec, encode(spec, value, 0, order[1]), 0, order[1]) == value


def test_word_and_byte_order_are_what_the_names_say() -> None:
    assert encode(_spec("uint32"), 0x01020304) == (0x0102, 0x0304)
    assert encode(_spec("uint32", word_order="low_first"), 0x01020304) == (0x0304, 0x0102)
    assert encode(_spec("uint32"), 0x01020304, 0, "little") == (0x0201, 0x0403)


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("int16", (), (0x8000,)),
        ("uint16", (), (0xFFFF,)),
        ("int32", (), (0x8000, 0)),
        ("uint32", (), (0xFFFF, 0xFFFF)),
        ("int16", (-1,), (0xFFFF,)),
        ("uint16", (0xFFFE, 0xFFFF), (0xFFFE,)),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_what_registers_cannot_hold_is_shown_as_not_implemented(
    kind: str, missing: tuple[int, ...], words: tuple[int, ...], value: float
) -> None:
    spec = _spec(kind, missing=missing)
    assert encode(spec, value) == words
    assert math.isnan(decode(spec, words))


def test_a_float_that_is_too_large_is_nan_and_never_an_error() -> None:
    assert math.isnan(decode(_spec("float32"), encode(_spec("float32"), 1e39)))


SCALED = _profile(
    PointSpec("p_w", "int16", "W", "test", address=10, sf="w_sf", low=-50_000.0, high=50_000.0),
    PointSpec("q_var", "int16", "var", "test", address=11, sf="w_sf"),
    PointSpec("w_sf", "int16", "1", "test", address=12),
    PointSpec("lim", "uint16", "1", "test", address=20, access="rw"),
    PointSpec("big", "uint32", "W", "test", address=21, access="rw"),
    PointSpec("far", "uint16", "1", "test", address=40),
    read=ReadRules(gap_max=10, forbidden=((14, 15),)),
)


def test_a_scale_factor_holds_the_whole_plausible_range() -> None:
    words = RegisterMap(SCALED).read("holding", 10, 3, {"p_w": 12_345.0, "q_var": -20.0})
    assert words == [1234, 0xFFFE, 1]  # 50 kW needs steps of 10 W


def test_a_scale_factor_grows_when_a_value_would_not_fit() -> None:
    assert RegisterMap(SCALED).read("holding", 10, 3, {"p_w": 400_000.0, "q_var": 0.0}) == [4000, 0, 2]


def test_a_device_that_states_its_scale_factor_is_believed() -> None:
    assert RegisterMap(SCALED).read("holding", 10, 3, {"p_w": 12_345.0, "w_sf": 2.0}) == [123, 0x8000, 2]


def test_only_points_and_the_gaps_a_client_may_bridge_are_readable() -> None:
    registers = RegisterMap(SCALED)
    assert registers.blocks("holding") == [(10, 4), (16, 7), (40, 1)]
    assert registers.readable("holding", 10, 4)
    assert registers.readable("holding", 16, 7)
    for address, count in ((9, 1), (13, 2), (10, 13), (23, 1), (40, 2)):
        assert not registers.readable("holding", address, count)
    assert not registers.readable("input", 10, 1)


@given(st.integers(10, 22), st.integers(1, 13))
def test_any_part_of_the_registers_reads_like_the_whole(address: int, count: int) -> None:
    registers = RegisterMap(SCALED)
    values = {"p_w": -12_340.0, "q_var": 500.0, "lim": 7.0, "big": 70_000.0}
    whole = registers.read("holding", 0, 60, values)
    assert registers.read("holding", address, count, values) == whole[address : address + count]


def test_a_write_of_several_registers_is_taken_apart_into_points() -> None:
    assert RegisterMap(SCALED).writes(20, [7, 1, 2], {}) == [("lim", 7.0), ("big", 65538.0)]


@pytest.mark.parametrize(
    ("address", "registers", "address_is_wrong"),
    [(10, [1], True), (30, [1], True), (20, [1, 2], False), (22, [1], False)],
)
def test_a_write_that_fits_no_points_is_refused(address: int, registers: list[int], address_is_wrong: bool) -> None:
    with pytest.raises(WriteRefusedError) as refused:
        RegisterMap(SCALED).writes(address, registers, {})
    assert refused.value.address_is_wrong is address_is_wrong


@pytest.mark.parametrize("profile_id", [i for i in profile_ids() if load_profile(i).protocol == "modbus"])
def test_every_profile_can_be_served(profile_id: str) -> None:
    profile = load_profile(profile_id)
    registers = RegisterMap(profile)
    for spec in profile.points:
        assert registers.readable(spec.table, spec.address, word_count(spec))
        words = registers.read(spec.table, spec.address, word_count(spec), {})
        expected = profile.identity.get(spec.name)
        if expected is not None:
            assert decode(spec, words, 0, profile.byte_order) == expected
