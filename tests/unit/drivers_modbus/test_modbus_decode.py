"""From registers to measurements: nothing is invented, every refusal has a reason."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from controller.domain.measurement import Measurement, Quality
from drivers.modbus.blocks import Block, plan_blocks
from drivers.modbus.decode import BlockReader, derive, measure, measure_blocks, read_back
from drivers.modbus.values import EncodeError, encode_value
from drivers.profile import DerivedSpec, PointSpec, Profile
from drivers.profile_loader import load_profile

ORACLE_TYPES = {
    "int16": ModbusClientMixin.DATATYPE.INT16,
    "uint16": ModbusClientMixin.DATATYPE.UINT16,
    "int32": ModbusClientMixin.DATATYPE.INT32,
    "uint32": ModbusClientMixin.DATATYPE.UINT32,
    "int64": ModbusClientMixin.DATATYPE.INT64,
    "uint64": ModbusClientMixin.DATATYPE.UINT64,
    "float32": ModbusClientMixin.DATATYPE.FLOAT32,
    "float64": ModbusClientMixin.DATATYPE.FLOAT64,
}


def spec_of(kind: str, **fields: object) -> PointSpec:
    return PointSpec("p_w", kind, "W", "test", address=10, **fields)  # type: ignore[arg-type]


def raw_of(spec: PointSpec, data: bytes, byte_order: str = "big", first: int = 10) -> float:
    block = Block("holding", first, len(data) // 2, (spec,))
    return BlockReader(block, byte_order).take(data, 0.0, 0.0).raw[spec.name]


def oracle(kind: str, value: float, word_order: str) -> bytes:
    order = "little" if word_order == "low_first" else "big"
    words = ModbusClientMixin.convert_to_registers(value, ORACLE_TYPES[kind], word_order=order)
    return struct.pack(f">{len(words)}H", *words)


@pytest.mark.parametrize("word_order", ["high_first", "low_first"])
@pytest.mark.parametrize("kind", ORACLE_TYPES)
@given(number=st.integers(-100, 100))
def test_every_type_and_word_order_is_read_and_written_as_another_implementation_does(
    kind: str, word_order: str, number: int
) -> None:
    value = abs(number) if kind.startswith("u") else number
    spec = spec_of(kind, word_order=word_order)
    data = oracle(kind, value * 1.0 if kind.startswith("f") else value, word_order)
    assert raw_of(spec, b"\xaa\xbb\xcc\xdd" + data, first=8) == value
    assert encode_value(spec, value, 0, "big") == data


@pytest.mark.parametrize("word_order", ["high_first", "low_first"])
@pytest.mark.parametrize("byte_order", ["big", "little"])
@given(raw=st.integers(-(2**62), 2**62), scale=st.sampled_from([1.0, -1.0]))
def test_what_is_written_is_read_again(byte_order: str, word_order: str, raw: int, scale: float) -> None:
    spec = spec_of("int64", word_order=word_order, scale=scale)
    value = float(raw)
    assert raw_of(spec, encode_value(spec, value, 0, byte_order), byte_order) * scale == value


def one(spec: PointSpec, number: float, **others: float) -> Measurement:
    return measure(spec, {spec.name: number, **others}, 5.0, 5.1)


def test_scale_scale_factor_and_offset_make_the_value() -> None:
    spec = spec_of("int16", scale=-2.0, offset=100.0, sf="w_sf")
    assert one(spec, 3, w_sf=2) == Measurement(-500.0, Quality.GOOD, 5.0, 5.1)


def test_a_value_that_the_device_does_not_implement_is_missing() -> None:
    found = one(spec_of("uint64", missing=(2**64 - 1,)), 2**64 - 1)
    assert found.quality is Quality.MISSING
    assert "not implemented" in found.reason
    assert one(spec_of("uint64", missing=(2**64 - 1,)), 2**64 - 1025).quality is Quality.GOOD
    assert one(spec_of("float32"), math.nan).quality is Quality.MISSING


@pytest.mark.parametrize("exponent", [math.nan, -32768, 11, -11])
def test_a_scale_factor_that_cannot_be_makes_the_value_bad(exponent: float) -> None:
    found = one(spec_of("int16", sf="w_sf"), 3, w_sf=exponent)
    assert found.quality is Quality.BAD
    assert not found.usable
    assert "scale factor w_sf" in found.reason


@pytest.mark.parametrize("wire", ["7fc00000", "7f800000", "ff800000"])
def test_nan_and_infinity_never_come_through_a_whole_block(wire: str) -> None:
    block = Block("holding", 10, 2, (spec_of("float32"),))
    found = measure_blocks([BlockReader(block, "big").take(bytes.fromhex(wire), 1.0, 1.1)])["p_w"]
    assert not found.usable
    assert found.quality in (Quality.MISSING, Quality.BAD)
    assert found.reason


def test_a_scale_factor_that_was_not_read_makes_the_value_bad() -> None:
    assert one(spec_of("int16", sf="w_sf"), 3).quality is Quality.BAD


@pytest.mark.parametrize("number", [-1.0, 11.0, math.inf, -math.inf])
def test_an_implausible_value_is_bad_and_says_what_is_plausible(number: float) -> None:
    found = one(spec_of("float32", low=0.0, high=10.0), number)
    assert found.quality is Quality.BAD
    assert math.isnan(found.value)
    assert "plausible is 0.0 to 10.0" in found.reason
    assert one(spec_of("float32"), math.inf).quality is Quality.BAD


def m(value: float, quality: Quality = Quality.GOOD, at_s: float = 1.0, reason: str = "") -> Measurement:
    return Measurement(value, quality, at_s, at_s + 0.5, reason)


@pytest.mark.parametrize(
    ("op", "expected"), [("max", 6.0), ("min", 1.0), ("mean", 3.0), ("sum", 9.0), ("mean_ln_to_ll", 3.0 * math.sqrt(3))]
)
def test_a_derived_point_is_as_old_as_its_oldest_source(op: str, expected: float) -> None:
    found = derive(DerivedSpec("d", op, ("a", "b", "c")), {"a": m(1, at_s=3), "b": m(2, at_s=2), "c": m(6, at_s=4)})
    assert found.value == pytest.approx(expected)
    assert (found.quality, found.measured_at_s, found.received_at_s) == (Quality.GOOD, 2.0, 4.5)


@pytest.mark.parametrize("op", ["max", "min", "mean", "sum", "mean_ln_to_ll"])
@pytest.mark.parametrize("quality", [Quality.UNCERTAIN, Quality.STALE, Quality.BAD, Quality.MISSING])
def test_a_derived_point_is_as_bad_as_its_worst_source(op: str, quality: Quality) -> None:
    found = derive(DerivedSpec("d", op, ("a", "b")), {"a": m(1), "b": m(math.nan, quality, reason="dead phase")})
    assert found.quality is quality
    assert math.isnan(found.value)
    assert found.reason == "b: dead phase"


def held(profile: Profile, **values: float) -> dict[str, Measurement]:
    points = {spec.name: m(values.get(spec.name, 0.0)) for spec in profile.points}
    return read_back(profile, points)


def test_a_generation_cap_is_read_back_as_negative_power() -> None:
    found = held(load_profile("sunspec_der"), w_max_w=2e6, w_max_lim_frac=0.25, w_max_lim_ena=1)
    assert found["p_set_w"].value == -500e3


def test_a_cap_that_is_not_enabled_is_no_limit_and_never_minus_infinity() -> None:
    found = held(load_profile("sunspec_der"), w_max_w=2e6, w_max_lim_frac=0.25, w_max_lim_ena=0)
    assert found["p_set_w"].quality is Quality.MISSING
    assert math.isnan(found["p_set_w"].value)
    assert "no limit active" in found["p_set_w"].reason


def test_a_set_point_in_the_wrong_mode_does_not_count() -> None:
    profile = load_profile("sunspec_battery")
    assert held(profile, w_set_w=-1e5, w_set_ena=1, w_set_mod=1)["p_set_w"].value == -1e5
    assert held(profile, w_set_w=-1e5, w_set_ena=1, w_set_mod=0)["p_set_w"].quality is Quality.MISSING
    assert held(profile, var_set_var=2e4, var_set_ena=1, var_set_mod=4)["q_set_var"].value == 2e4


def test_a_read_back_on_a_bad_source_is_bad() -> None:
    profile = load_profile("sunspec_der")
    points = {spec.name: m(1.0) for spec in profile.points} | {"w_max_w": m(math.nan, Quality.BAD, reason="odd")}
    found = read_back(profile, points)["p_set_w"]
    assert (found.quality, found.reason) == (Quality.BAD, "w_max_w: odd")


def test_what_is_too_large_to_be_computed_is_bad_and_never_infinite() -> None:
    points = {"a": m(1.7e308), "b": m(1.7e308)}
    for op in ("sum", "mean", "mean_ln_to_ll"):
        found = derive(DerivedSpec("all", op, ("a", "b")), points)
        assert (found.quality, found.reason) == (
            Quality.BAD,
            "computed from a, b it is inf; expected a finite number",
        )
    assert (
        held(load_profile("sunspec_der"), w_max_w=1e200, w_max_lim_frac=1e200, w_max_lim_ena=1)["p_set_w"].quality
        is Quality.BAD
    )


def test_a_consumption_cap_is_read_back_as_positive_power() -> None:
    assert held(load_profile("ev_hub"), limit_w=22000)["p_set_w"].value == 22000.0


METER_BYTES = {
    # (profile, table, address): registers as they stand on the wire, and what they mean
    "janitza_umg96": ("p_w", 19026, "c61c4000", -10000.0),
    "eastron_sdm630": ("u_1_v_ln", 0, "43666666", 230.4),
    "schneider_iem3000": ("p_w", 3059, "3f800000", 1000.0),
    "carlo_gavazzi_em24": ("p_w", 0x0028, "ffd8ffff", -4.0),
    "ev_hub": ("p_w", 1005, "000055f0", 22000.0),
}


@pytest.mark.parametrize("profile_id", METER_BYTES)
def test_registers_written_out_by_hand_are_read_as_the_quantity_that_they_are(profile_id: str) -> None:
    name, address, wire, expected = METER_BYTES[profile_id]
    profile = load_profile(profile_id)
    spec = profile.point(name)
    assert spec.address == address
    (block,) = plan_blocks([spec], profile.read)
    reader = BlockReader(block, profile.byte_order)
    found = measure_blocks([reader.take(bytes.fromhex(wire), 1.0, 1.1)])
    assert found[name].value == pytest.approx(expected, rel=1e-6)
    assert (found[name].measured_at_s, found[name].received_at_s) == (1.0, 1.1)


def test_a_sunspec_injection_is_negative_consumption() -> None:
    profile = load_profile("sunspec_der")
    specs = [profile.point("p_w"), profile.point("model_701_w_sf")]
    (block,) = plan_blocks(specs, profile.read)
    data = struct.pack(">h", 1234) + bytes(2 * (block.count - 2)) + struct.pack(">h", 2)
    found = measure_blocks([BlockReader(block, "big").take(data, 1.0, 1.1)])
    assert found["p_w"].value == -123400.0


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (spec_of("int16"), math.nan),
        (spec_of("int16"), math.inf),
        (spec_of("int16"), 32768.0),
        (spec_of("uint16"), -1.0),
        (spec_of("uint16", missing=(0xFFFF,)), 65535.0),
        (spec_of("int16", low=0.0, high=10.0), 10.5),
        (spec_of("float32"), 1e39),
        (replace(spec_of("int16"), scale=1e-300), 1e300),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_never_clipped(spec: PointSpec, value: float) -> None:
    with pytest.raises(EncodeError, match="expected"):
        encode_value(spec, value, 0, "big")


@given(st.floats(0.0, 1.0), st.sampled_from([1.0, 0.1, 0.01, 0.001]))
def test_rounding_down_never_gives_more_than_asked(value: float, scale: float) -> None:
    spec = spec_of("uint16", scale=scale)
    raw = raw_of(spec, encode_value(spec, value, 0, "big", floor=True))
    assert raw * scale <= value + 1e-5 * scale
    assert raw * scale > value - scale
