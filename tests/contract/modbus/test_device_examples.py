"""Registers as each device's source describes them, encoded by pymodbus or pysunspec2, read through the device's table.

The rows repeat what the source says (type, word order, address on the wire, unit of one step), not what the table says:
a slip in either shows. A new table without rows fails :func:`test_every_table_has_example_registers`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pytest
from pymodbus.client.mixin import ModbusClientMixin
from sunspec2.device import Device as SunSpecModels

from controller.domain.measurement import Measurement, Quality
from drivers.modbus.blocks import plan_blocks
from drivers.modbus.decode import BlockReader, derive, measure_blocks, read_back
from drivers.profile import Profile
from drivers.profile_loader import load_profile, profile_ids
from drivers.sunspec.bind import bind
from drivers.sunspec.chain import ChainWalk

Type = ModbusClientMixin.DATATYPE
I16, U16, I32, U32, I64, U64 = Type.INT16, Type.UINT16, Type.INT32, Type.UINT32, Type.INT64, Type.UINT64
F32, F64 = Type.FLOAT32, Type.FLOAT64
MISSING = "missing"

Row = tuple[str, int, Any, float, float | str]
"""Point, table of registers by its profile, wire address, type in the source, raw number, value in SI (or MISSING)."""

EXAMPLES: dict[str, tuple[str, tuple[Row, ...]]] = {
    "janitza_umg96": (
        "big",
        (
            ("u_1_v_ln", 19000, F32, 231.5, 231.5),
            ("i_3_a", 19016, F32, 12.25, 12.25),
            ("p_w", 19026, F32, -5250.0, -5250.0),
            ("q_var", 19042, F32, 310.5, 310.5),
            ("f_hz", 19050, F32, 50.0, 50.0),
            ("energy_import_wh", 19068, F32, 1234567.0, 1234567.0),
        ),
    ),
    "eastron_sdm630": (
        "big",
        (
            ("u_2_v_ln", 0x0002, F32, 230.25, 230.25),
            ("i_1_a", 0x0006, F32, 5.5, 5.5),
            ("p_w", 0x0034, F32, -1500.0, -1500.0),
            ("f_hz", 0x0046, F32, 49.98, 49.98),
            ("energy_import_wh", 0x0048, F32, 12.5, 12500.0),
        ),
    ),
    "eastron_sdm72": (
        "big",
        (
            ("u_3_v_ln", 0x0004, F32, 229.0, 229.0),
            ("p_w", 0x0034, F32, 3680.0, 3680.0),
            ("q_var", 0x003C, F32, -75.5, -75.5),
            ("energy_export_wh", 0x004A, F32, 0.25, 250.0),
        ),
    ),
    "carlo_gavazzi_em24": (
        "little",
        (
            ("u_1_v_ln", 0x0000, I32, 2305, 230.5),
            ("i_1_a", 0x000C, I32, -4321, -4.321),
            ("p_w", 0x0028, I32, -98765, -9876.5),
            ("f_hz", 0x0033, U16, 500, 50.0),
            ("energy_import_wh", 0x0034, I32, 123456, 12345600.0),
            ("application", 0xA000, U16, 7, 7.0),
        ),
    ),
    "carlo_gavazzi_em300": (
        "little",
        (
            ("u_3_v_ln", 0x0004, I32, 2299, 229.9),
            ("i_2_a", 0x000E, I32, 70000, 70.0),
            ("p_w", 0x0028, I32, 150000, 15000.0),
            ("s_va", 0x002A, I32, 160000, 16000.0),
            ("q_var", 0x002C, I32, -5000, -500.0),
            ("f_hz", 0x0033, U16, 499, 49.9),
            ("energy_export_wh", 0x004E, I32, 10, 1000.0),
        ),
    ),
    "schneider_iem3000": (
        "big",
        (
            ("i_2_a", 3001, F32, 41.5, 41.5),
            ("u_1_v_ln", 3027, F32, 231.0, 231.0),
            ("p_w", 3059, F32, 28.75, 28750.0),
            ("f_hz", 3109, F32, 50.01, 50.01),
            ("energy_import_wh", 3203, I64, 987654321, 987654321.0),
        ),
    ),
    "schneider_pm2000": (
        "big",
        (
            ("i_1_a", 2999, F32, 100.5, 100.5),
            ("u_23_v", 3021, F32, 400.5, 400.5),
            ("p_w", 3059, F32, -12.5, -12500.0),
        ),
    ),
    "siemens_pac2200": (
        "big",
        (
            ("u_1_v_ln", 1, F32, 230.5, 230.5),
            ("i_2_a", 15, F32, 63.0, 63.0),
            ("p_3_w", 29, F32, -1200.0, -1200.0),
            ("p_w", 65, F32, 4321.0, 4321.0),
        ),
    ),
    "abb_b23": (
        "big",
        (
            ("energy_import_wh", 0x5000, U64, 123456, 1234560.0),
            ("u_1_v_ln", 0x5B00, U32, 2312, 231.2),
            ("u_3_v_ln", 0x5B04, U32, 0xFFFFFFFF, MISSING),
            ("i_3_a", 0x5B10, U32, 1550, 15.5),
            ("p_w", 0x5B14, I32, -123456, -1234.56),
            ("f_hz", 0x5B2C, U16, 5001, 50.01),
            ("model_code", 0x8960, U32, 0x42323320, float(0x42323320)),
        ),
    ),
    "inepro_pro380": (
        "big",
        (
            ("u_1_v_ln", 0x5002, F32, 230.75, 230.75),
            ("i_1_a", 0x500C, F32, 8.5, 8.5),
            ("p_w", 0x5012, F32, 5.875, 5875.0),
            ("q_var", 0x501A, F32, -0.5, -500.0),
            ("energy_export_wh", 0x6018, F32, 1.5, 1500.0),
        ),
    ),
    "socomec_countis_e": (
        "big",
        (
            ("u_12_v", 0xC552, U32, 40050, 400.5),
            ("f_hz", 0xC55E, U32, 4999, 49.99),
            ("i_3_a", 0xC564, U32, 25500, 25.5),
            ("p_w", 0xC568, I32, -1250, -12500.0),
            ("energy_import_wh", 0xC652, U32, 77, 77000.0),
        ),
    ),
    "chint_dtsu666": (
        "big",
        (
            ("energy_import_wh", 0x101E, F32, 2.5, 2500.0),
            ("u_1_v_ln", 0x2000, F32, 2305.0, 230.5),
            ("i_1_a", 0x200C, F32, 1500.0, 1.5),
            ("p_w", 0x2012, F32, -8250.0, -825.0),
            ("f_hz", 0x2044, F32, 5000.0, 50.0),
        ),
    ),
    "huawei_sun2000": (
        "big",
        (
            ("p_rated_w", 30073, U32, 50000, 50000.0),
            ("u_12_v", 32066, U16, 4012, 401.2),
            ("i_1_a", 32072, I32, 61250, 61.25),
            ("p_w", 32080, I32, 42000, -42000.0),
            ("f_hz", 32085, U16, 5002, 50.02),
            ("energy_export_wh", 32106, U32, 1234567, 12345670.0),
            ("limit_w", 40126, U32, 30000, 30000.0),
        ),
    ),
    "sungrow_sg": (
        "little",
        (
            ("p_rated_w", 5000, U16, 120, 12000.0),
            ("energy_export_wh", 5003, U32, 36012, 36012000.0),
            ("p_w", 5030, U32, 9876, -9876.0),
            ("f_hz", 5035, U16, 500, 50.0),
            ("limit_ena", 5006, U16, 0xAA, 170.0),
            ("limit_frac", 5007, U16, 755, 0.755),
        ),
    ),
    "alfen_ng9xx": (
        "big",
        (
            ("u_1_v_ln", 306, F32, 231.0, 231.0),
            ("i_1_a", 320, F32, 15.5, 15.5),
            ("p_w", 344, F32, 10750.0, 10750.0),
            ("energy_import_wh", 374, F64, 123456.5, 123456.5),
            ("valid_s", 1208, U32, 50, 50.0),
            ("limit_w", 1210, F32, 16.0, 16.0 * 3 * 253),
            ("safe_w", 1212, F32, 6.0, 6.0 * 3 * 253),
        ),
    ),
    "ev_hub": (
        "big",
        (
            ("state", 1000, U16, 4, 4.0),
            ("p_w", 1005, U32, 22000, 22000.0),
            ("timeout_s", 202, U16, 60, 60.0),
            ("fallback_w", 203, U32, 4140, 4140.0),
            ("limit_w", 1600, U32, 11000, 11000.0),
        ),
    ),
    "victron_gx": (
        "big",
        (
            ("grid_1_w", 820, I16, -1500, -1500.0),
            ("p_w", 842, I16, 2400, 2400.0),
            ("soc_frac", 843, U16, 87, 0.87),
        ),
    ),
    "qualitrol_111w": (
        "big",
        (("top_oil_c", 0, U16, 68, 68.0), ("hot_spot_c", 1, U16, 0x8000, MISSING)),
    ),
    "mr_ecotap_vpd": (
        "big",
        (("operating_mode", 0, U16, 1, 1.0), ("tap_pos", 1, U16, 5, 5.0), ("positions", 13, U16, 9, 9.0)),
    ),
    "sel_2414": (
        "big",
        (("i_1_a", 200, U16, 412, 412.0), ("i_2_a", 202, U16, 405, 405.0), ("i_3_a", 204, U16, 65535, 65535.0)),
    ),
}

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
