"""Registers as each device's source describes them, encoded by pymodbus or pysunspec2, read through the device's table.

The rows stand in ``device_examples.py``. A new table without rows fails :func:`test_every_table_has_example_registers`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from importlib.resources import files

import pytest
from device_examples import EXAMPLES, MISSING
from pymodbus.client.mixin import ModbusClientMixin
from sunspec2.device import Device as SunSpecModels

from controller.domain.measurement import Measurement, Quality
from drivers.modbus.blocks import plan_blocks
from drivers.modbus.decode import BlockReader, derive, measure_blocks, read_back
from drivers.profile import Profile
from drivers.profile_loader import load_profile, profile_ids
from drivers.sunspec.bind import bind
from drivers.sunspec.chain import ChainWalk

FIXED = [
    name for name in profile_ids() if load_profile(name).protocol == "modbus" and load_profile(name).template is None
]
SUNSPEC = [name for name in profile_ids() if load_profile(name).template is not None]


def read(profile: Profile, image: Mapping[tuple[str, int], int]) -> dict[str, Measurement]:
    """What the driver makes of these registers; those that are not in ``image`` read 0."""
    specs = [spec for spec in profile.points if spec.type != "string"]
    found = []
    for block in plan_blocks(specs, profile.read):
        words = [image.get((block.table, address), 0) for address in range(block.address, block.address + block.count)]
        data = struct.pack(f">{len(words)}H", *words)
        found.append(BlockReader(block, profile.byte_order).take(data, 1.0, 1.1))
    points = measure_blocks(found)
    points |= {spec.name: derive(spec, points) for spec in profile.derived}
    return points | read_back(profile, points)


@pytest.mark.parametrize("name", FIXED)
def test_every_table_has_example_registers(name: str) -> None:
    assert name in EXAMPLES, f"{name}: add rows from its source"
    points = {row[0] for row in EXAMPLES[name][1]}
    assert "p_w" in points or load_profile(name).kind == "transformer"


@pytest.mark.parametrize("name", EXAMPLES)
def test_registers_as_the_source_describes_them_give_the_values_they_stand_for(name: str) -> None:
    profile = load_profile(name)
    order, rows = EXAMPLES[name]
    image: dict[tuple[str, int], int] = {}
    for point, address, kind, raw, _ in rows:
        words = ModbusClientMixin.convert_to_registers(raw, kind, word_order=order)
        table = profile.point(point).table
        image |= {(table, address + k): word for k, word in enumerate(words)}
    found = read(profile, image)
    for point, _, _, _, expected in rows:
        if expected == MISSING:
            assert found[point].quality is Quality.MISSING, point
        else:
            assert found[point].quality is Quality.GOOD, f"{point}: {found[point].reason}"
            assert found[point].value == pytest.approx(expected, rel=1e-6), point


def sunspec_example(name: str) -> tuple[SunSpecModels, bytes]:
    """A device of the profile's standard chain with values that tell every point apart, as pysunspec2 encodes it."""
    profile = load_profile(name)
    source = json.loads((files("sunspec2") / "tests" / "test_data" / "inverter_123.json").read_text("utf-8"))
    known = {item["ID"]: item for item in source["models"]}
    wanted = sorted({int(spec.ref.split()[1]) for spec in profile.points if spec.ref.split()[1].isdigit()})
    device = SunSpecModels()
    device._set_dict({"models": [known.get(model_id, {"ID": model_id}) for model_id in wanted]})
    for model in device.model_list:
        model.points["ID"].set_value(model.model_id)
        model.points["L"].set_value(model.len - 2)
    for number, spec in enumerate(spec for spec in profile.points if spec.sunspec):
        _, model_id, point = spec.ref.split()[:3]
        where = device.models[int(model_id)][0].points.get(point)
        if where is not None:
            where.set_value(
                4999 if spec.name == "f_hz" else 1 if spec.high is not None and spec.high <= 8 else number + 40
            )
    for model in device.model_list:
        for point in model.points.values():
            if point.pdef["type"] == "sunssf":
                point.set_value(-2 if point.pdef["name"] == "Hz_SF" else 0)
    return device, b"SunS" + bytes(device.get_mb()) + b"\xff\xff\x00\x00"


@pytest.mark.parametrize("name", SUNSPEC)
def test_every_sunspec_point_reads_what_pysunspec2_wrote(name: str) -> None:
    device, data = sunspec_example(name)
    walk = ChainWalk()
    while walk.wanted is not None:
        start = 2 * (walk.wanted[0] - 40000)
        walk.take(data[start : start + 4])
    assert walk.chain is not None, walk.fault
    template = load_profile(name).template
    assert template is not None
    bound = bind(template, walk.chain)
    words = struct.unpack(f">{len(data) // 2}H", data)
    found = read(bound.profile, {("holding", 40000 + k): word for k, word in enumerate(words)})
    checked = 0
    for spec in bound.profile.points:
        _, model_id, point = (*spec.ref.split(), "", "")[:3]
        where = device.models[int(model_id)][0].points.get(point) if spec.sunspec and model_id.isdigit() else None
        if where is None or where.value is None:
            continue
        value = where.get_value(computed=True)
        assert found[spec.name].value == pytest.approx(value * spec.scale), f"{spec.name}: {found[spec.name].reason}"
        checked += 1
    assert checked >= 8
