"""What a node's DataValue is worth, and what may be written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.measurement import Measurement, Quality
from drivers.opcua.values import INTEGERS, EncodeError, NodeValue, derive, encode, measure
from drivers.profile import DerivedSpec, PointSpec

GOOD, UNCERTAIN, BAD = 0x0000_0000, 0x4000_0000, 0x8000_0000
P_W = PointSpec("p_w", "Double", "kW", "test", scale=-1000.0, low=-1e6, high=1e6)


def _measure(node: NodeValue, spec: PointSpec = P_W) -> Measurement:
    return measure(spec, node, 10.0, 10.1, 3.0)


@pytest.mark.parametrize(
    ("status", "kind", "value", "quality"),
    [
        (GOOD, "Double", 5.0, Quality.GOOD),
        (0x00A2_0000, "Double", 5.0, Quality.GOOD),  # GoodEntryInserted: nothing against the value
        (0x0096_0000, "Double", 5.0, Quality.UNCERTAIN),  # GoodLocalOverride: put in by hand
        (0x0480, "Double", 5.0, Quality.GOOD),  # overflow: what was between two values is lost, not this one
        (0x0500, "Double", 5.0, Quality.UNCERTAIN),  # at the low end of the sensor
        (0x0600, "Double", 5.0, Quality.UNCERTAIN),  # at the high end
        (0x0700, "Double", 5.0, Quality.GOOD),  # constant
        (0x4000, "Double", 5.0, Quality.BAD),  # semantics changed: another unit
        (0x8000, "Double", 5.0, Quality.BAD),  # structure changed
        (UNCERTAIN, "Double", 5.0, Quality.UNCERTAIN),
        (0x4090_0000, "Double", 5.0, Quality.UNCERTAIN),  # UncertainLastUsableValue
        (BAD, "", None, Quality.BAD),
        (0x8032_0000, "", None, Quality.BAD),  # BadWaitingForInitialData
        (0x8031_0000, "Double", 5.0, Quality.BAD),  # BadNoCommunication, with a value it should not carry
        (0xC000_0000, "Double", 5.0, Quality.BAD),  # reserved severity
        (GOOD, "Double", math.nan, Quality.BAD),
        (GOOD, "Double", math.inf, Quality.BAD),
        (UNCERTAIN, "Double", math.nan, Quality.BAD),
        (GOOD, "Float", 5.0, Quality.BAD),
        (GOOD, "Int32", 5, Quality.BAD),
        (GOOD, "Double[]", [5.0], Quality.BAD),
        (GOOD, "String", "5.0", Quality.BAD),
        (GOOD, "", None, Quality.BAD),
        (GOOD, "Double", 1001.0, Quality.BAD),  # 1.001 MW: implausible
    ],
)
def test_quality_is_what_status_type_and_value_allow(status: int, kind: str, value: object, quality: Quality) -> None:
    found = _measure(NodeValue(status, "Name", kind, value))
    assert found.quality is quality
    assert math.isnan(found.value) == (quality is Quality.BAD)
    assert (found.reason == "") == (quality is Quality.GOOD)


def test_a_value_is_scaled_into_the_house_sign_and_carries_the_time_of_the_request() -> None:
    assert _measure(NodeValue(GOOD, "Good", "Double", 5.0)) == Measurement(-5000.0, Quality.GOOD, 10.0, 10.1)


def test_a_source_that_has_been_silent_by_the_servers_clock_is_remarked_but_not_distrusted() -> None:
    now = 1_700_000_000.0
    old = _measure(NodeValue(GOOD, "Good", "Double", 5.0, now - 60.0, now))
    assert old.quality is Quality.GOOD
    assert old.reason == "source time is 60.0 s behind the server"
    assert _measure(NodeValue(GOOD, "Good", "Double", 5.0, now, now)).reason == ""


def test_the_code_of_a_bad_status_is_named() -> None:
    assert "BadSensorFailure" in _measure(NodeValue(BAD, "BadSensorFailure", "", None)).reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e6 + 1, -1e6 - 1])
def test_a_value_that_is_not_finite_or_out_of_range_is_never_encoded(value: float) -> None:
    with pytest.raises(EncodeError, match="p_w is"):
        encode(P_W, value)


@pytest.mark.parametrize("name", list(INTEGERS))
def test_an_integer_that_does_not_fit_its_type_is_never_encoded(name: str) -> None:
    low, high = INTEGERS[name]
    spec = PointSpec("x", name, "1", "test")
    for number in (float(2 * high), float(2 * low - 2)):
        with pytest.raises(EncodeError, match="expected a"):
            encode(spec, number)


def test_a_number_beyond_a_float_is_never_encoded() -> None:
    with pytest.raises(EncodeError, match="fits Float"):
        encode(PointSpec("x", "Float", "1", "test"), 1e39)


@given(st.floats(0.0, 60_000.0), st.sampled_from([1.0, -1.0, 10.0, 0.1]))
def test_a_cap_is_never_rounded_upwards(value: float, scale: float) -> None:
    spec = PointSpec("x", "Int32", "1", "test", scale=scale)
    written = encode(spec, value, floor=True) * scale
    assert value - abs(scale) - 1e-3 <= written <= value + 1e-5 * abs(scale)


@given(st.floats(-1e6, 1e6))
def test_what_is_written_is_what_is_read_back(value: float) -> None:
    node = NodeValue(GOOD, "Good", "Double", encode(P_W, value))
    assert _measure(node).value == pytest.approx(value, rel=1e-12, abs=1e-9)


def test_a_derived_point_is_as_bad_and_as_old_as_its_worst_part() -> None:
    spec = DerivedSpec("i_a", "max", ("i_1_a", "i_2_a"))
    parts = {
        "i_1_a": Measurement(100.0, Quality.GOOD, 9.0, 10.0),
        "i_2_a": Measurement(90.0, Quality.UNCERTAIN, 8.0, 10.5, "sensor"),
    }
    assert derive(spec, parts) == Measurement(100.0, Quality.UNCERTAIN, 8.0, 10.5, "sensor")
    parts["i_2_a"] = Measurement(math.nan, Quality.BAD, 8.0, 10.5, "sensor")
    assert math.isnan(derive(spec, parts).value)
    assert derive(spec, parts).quality is Quality.BAD


@pytest.mark.parametrize(
    ("op", "expected"), [("max", 3.0), ("min", 1.0), ("sum", 6.0), ("mean", 2.0), ("mean_ln_to_ll", 2.0 * math.sqrt(3))]
)
def test_every_way_of_deriving_a_point(op: str, expected: float) -> None:
    parts = {f"x{i}": Measurement(float(i), Quality.GOOD, 0.0, 0.0) for i in (1, 2, 3)}
    assert derive(DerivedSpec("x", op, tuple(parts)), parts).value == pytest.approx(expected)


def test_what_cannot_be_computed_or_scaled_is_bad_and_never_infinite_nor_an_error() -> None:
    wide = PointSpec("p_w", "Double", "kW", "test", scale=1000.0)
    found = _measure(NodeValue(GOOD, "Good", "Double", 1.7e308), wide)
    assert (found.quality, found.reason) == (
        Quality.BAD,
        "value 1.7e+308 is inf when scaled; expected a finite number",
    )
    points = {name: Measurement(1.7e308, Quality.GOOD, 1.0, 2.0) for name in ("a", "b")}
    for op in ("sum", "mean", "mean_ln_to_ll"):
        assert derive(DerivedSpec("all", op, ("a", "b")), points).quality is Quality.BAD
    assert derive(DerivedSpec("most", "max", ("a", "b")), points).value == 1.7e308
