"""Curves are read as pysunspec2 wrote them, and counts that do not fit the model's length are no curve."""

from __future__ import annotations

import json
import time
from importlib.resources import files

import pytest
from sunspec2.device import Device

from drivers.sunspec.curves import CURVE_MODELS, read_curve
from drivers.sunspec.definitions import model

EXAMPLE = json.loads((files("sunspec2") / "tests" / "test_data" / "device_1547.json").read_text("utf-8"))


def registers(model_id: int) -> bytearray:
    device = Device()
    device._set_dict(EXAMPLE)
    return bytearray(device.models[model_id][0].get_mb())


def test_the_volt_var_curve_in_force_is_the_first() -> None:
    curve = read_curve(705, bytes(registers(705)))
    assert curve is not None
    assert curve.enabled
    assert curve.corners == ((92.0, 30.0), (96.7, 0.0), (103.0, 0.0), (107.0, -30.0))


def test_corners_that_a_device_does_not_implement_are_left_out() -> None:
    curve = read_curve(712, bytes(registers(712)))
    assert curve is not None
    assert (curve.enabled, curve.corners) == (False, ())


@pytest.mark.parametrize("model_id", CURVE_MODELS)
@pytest.mark.parametrize("name", ["NCrv", "NPt", "L"])
@pytest.mark.parametrize("count", [0, 2, 17, 0xFFFE, 0xFFFF])
def test_a_device_that_announces_another_number_of_curves_is_not_followed(model_id: int, name: str, count: int) -> None:
    data = registers(model_id)
    definition = model(model_id)
    assert definition is not None
    at = 2 * definition.points[name].offset
    if int.from_bytes(data[at : at + 2], "big") == count:
        count += 1
    data[at : at + 2] = count.to_bytes(2, "big")
    started = time.thread_time()
    assert read_curve(model_id, bytes(data)) is None
    assert time.thread_time() - started < 1.0


@pytest.mark.parametrize("model_id", CURVE_MODELS)
@pytest.mark.parametrize("factor", [-0x8000, -11, 11, 400, 0x7FFF])
def test_a_scale_factor_that_cannot_be_is_no_curve_and_no_error(model_id: int, factor: int) -> None:
    definition = model(model_id)
    assert definition is not None
    for name in [name for name in definition.points if name.endswith("_SF")]:
        data = registers(model_id)
        at = 2 * definition.points[name].offset
        data[at : at + 2] = factor.to_bytes(2, "big", signed=True)
        found = read_curve(model_id, bytes(data))
        if factor != -0x8000:
            assert found is None, name
        elif not name.startswith("RspTms"):
            assert found is not None, name
            assert found.corners == (), "corners without a scale are none"


@pytest.mark.parametrize("size", [0, 1, 8, 30])
def test_a_model_cut_short_is_no_curve(size: int) -> None:
    assert read_curve(705, bytes(registers(705)[:size])) is None
