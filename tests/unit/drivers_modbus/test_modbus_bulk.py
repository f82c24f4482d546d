"""The bulk decode finds the very numbers, and the very faults, of the point-by-point way."""

from __future__ import annotations

import math
import random
import struct

import pytest

from controller.domain.measurement import Measurement
from controller.domain.reading import newest_good_s
from drivers.modbus.blocks import plan_blocks
from drivers.modbus.bulk import ROWS_MAX
from drivers.modbus.decode import BlockReader, derive, measure_blocks, read_back
from drivers.modbus.reading import Batch, PolledReading, ReadingPlan
from drivers.profile import Profile
from drivers.profile_loader import load_profile, parse_profile, profile_ids

SEED = 20261122
MIXED = """
id: mixed
kind: meter
title: Every type in every order
protocol: modbus
source: made for this test
byte_order: {order}
read: {{registers_max: 40, gap_max: 4, forbidden: [[60, 61]]}}
defaults: {{type: int16, unit: "1", ref: none}}
points:
  sf_a: {{at: 0, missing: [-32768]}}
  a: {{at: 1, sf: sf_a, scale: -10, low: -1000000, high: 1000000, missing: [-32768, 32767]}}
  b: {{at: 2, type: uint16, missing: [65535], offset: -40}}
  c: {{at: 4, type: int32, word_order: low_first, scale: 0.001, missing: [-2147483648]}}
  d: {{at: 6, type: uint32, sf: sf_a, missing: [4294967295]}}
  e: {{at: 8, type: float32, low: 0, high: 1000}}
  f: {{at: 10, type: float32, word_order: low_first}}
  g: {{at: 12, type: float64, scale: 1000}}
  h: {{at: 16, type: int64, word_order: low_first, missing: [-9223372036854775808]}}
  i: {{at: 20, type: uint64, missing: [18446744073709551615]}}
  j: {{at: 62, type: float64, word_order: low_first}}
  k: {{at: 80, type: int16, table: input}}
derived:
  worst: {{op: max, of: [a, b, e]}}
"""
WORDS = (0, 1, 2, 0xFFFF, 0x8000, 0x7FFF, 0x7FC0, 0x7F80, 0xFF80, 0x3F80, 0x43FA, 0xFFFE, 10, 0xFFF6)


def tables() -> list[Profile]:
    found = [load_profile(name) for name in profile_ids()]
    fixed = [profile for profile in found if profile.protocol == "modbus" and profile.template is None]
    return [parse_profile(MIXED.format(order=order), "mixed") for order in ("big", "little")] + fixed


def same(one: Measurement, other: Measurement) -> bool:
    """Equal to the last bit, NaN included."""
    bits = struct.pack(">d", one.value) == struct.pack(">d", other.value)
    return (bits or (math.isnan(one.value) and math.isnan(other.value))) and (
        (one.quality, one.measured_at_s, one.received_at_s, one.reason)
        == (other.quality, other.measured_at_s, other.received_at_s, other.reason)
    )


@pytest.mark.parametrize("count", [3, ROWS_MAX + 6])
@pytest.mark.parametrize("profile", tables(), ids=lambda profile: f"{profile.id}-{profile.byte_order}")
def test_every_value_and_every_reason_is_that_of_the_point_by_point_way(profile: Profile, count: int) -> None:
    rng = random.Random(SEED)
    read = [spec for spec in profile.points if "r" in spec.access and spec.type != "string"]
    blocks = plan_blocks((spec for spec in read if spec.name not in profile.identity), profile.read)
    readers = [BlockReader(block, profile.byte_order) for block in blocks]
    plan = ReadingPlan(profile, readers)
    devices = [
        [struct.pack(f">{block.count}H", *(word(rng) for _ in range(block.count))) for block in blocks]
        for _ in range(count)
    ]
    sent_s = [10.0 + index for index in range(len(blocks))]
    joined = [data for payloads in devices for data in payloads]
    batch = Batch(plan, joined, 99.0)
    for row, payloads in enumerate(devices):
        taken = [reader.take(*part, 99.0) for reader, *part in zip(readers, payloads, sent_s, strict=True)]
        expected = measure_blocks(taken)
        points = dict(expected)
        for spec in profile.derived:
            expected[spec.name] = derive(spec, expected)
        expected |= read_back(profile, expected)
        found = PolledReading(batch, row, sent_s, 5.0)
        assert set(found) == set(expected) | set(profile.identity)
        for name, measurement in expected.items():
            assert same(found[name], measurement), (name, found[name], measurement, payloads)
        assert found.all_good == all(point.usable for point in points.values())
        assert newest_good_s(found) == newest_good_s(dict(found))


def word(rng: random.Random) -> int:
    return rng.choice(WORDS) if rng.random() < 0.5 else rng.randrange(65536)


def test_a_name_that_the_device_does_not_have_is_a_key_error() -> None:
    profile = parse_profile(MIXED.format(order="big"), "mixed")
    blocks = plan_blocks(profile.points, profile.read)
    plan = ReadingPlan(profile, [BlockReader(block, "big") for block in blocks])
    payloads = [bytes(2 * block.count) for block in blocks]
    reading = PolledReading(Batch(plan, payloads, 1.0), 0, [0.0] * len(blocks), 0.0)
    assert "nobody" not in reading
    assert reading.get("nobody") is None
    assert len(reading) == len(list(reading)) == 13
