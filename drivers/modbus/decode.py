"""From the bytes of read blocks to measurements: sentinels, scale factors, plausible ranges, derived points, read-back.

Nothing here invents a value: what is not implemented is MISSING, what is implausible is BAD, and whatever is computed
from something unusable is as unusable, with the reason passed on.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controller.domain.measurement import Measurement, Quality
from drivers.modbus.blocks import Block
from drivers.modbus.values import block_layout, needs_swap, swapped
from drivers.profile import CommandSpec, DerivedSpec, PointSpec, Profile

SQRT3 = math.sqrt(3.0)
SF_LOW, SF_HIGH = -10, 10  # a SunSpec sunssf holds -10 to 10

_OPS: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "mean": lambda values: sum(values) / len(values),
    "sum": sum,
    "mean_ln_to_ll": lambda values: SQRT3 * sum(values) / len(values),
}


@dataclass(frozen=True, slots=True)
class BlockData:
    """Raw numbers of one answered block and when its request was sent and answered (site seconds)."""

    reader: BlockReader
    raw: Mapping[str, float]
    sent_s: float
    received_s: float


class BlockReader:
    """Takes the raw numbers of all points of one block out of its bytes; prepared once, used on every poll."""

    def __init__(self, block: Block, byte_order: str) -> None:
        self.block = block
        self.plain = tuple(_Plain.make(spec) for spec in block.points if spec.sf is None)
        self.scaled = tuple(spec for spec in block.points if spec.sf is not None)
        self._byte_order = byte_order
        self._layout = block_layout(block.points, block.address, byte_order)
        self._names = tuple(spec.name for spec in block.points)
        self._swapped = tuple(spec for spec in block.points if needs_swap(spec, byte_order))

    def take(self, data: bytes, sent_s: float, received_s: float) -> BlockData:
        """The raw number of every point in ``data``, which must be the whole block."""
        raw = dict(zip(self._names, self._layout.unpack(data), strict=True))
        for spec in self._swapped:
            raw[spec.name] = swapped(spec, raw[spec.name], self._byte_order)
        return BlockData(self, raw, sent_s, received_s)


class _Plain(NamedTuple):
    """A point without scale factor, taken apart for speed; ``low`` and ``high`` keep infinities out."""

    spec: PointSpec
    name: str
    missing: tuple[int, ...]
    scale: float
    offset: float
    low: float
    high: float

    @classmethod
    def make(cls, spec: PointSpec) -> _Plain:
        low = -sys.float_info.max if spec.low is None else spec.low
        high = sys.float_info.max if spec.high is None else spec.high
        return cls(spec, spec.name, spec.missing, spec.scale, spec.offset, low, high)


def measure_blocks(blocks: Iterable[BlockData]) -> dict[str, Measurement]:
    """Measurements of all points of blocks that were read together; scale factors may stand in another block."""
    found = list(blocks)
    raw = found[0].raw if len(found) == 1 else {name: number for block in found for name, number in block.raw.items()}
    points: dict[str, Measurement] = {}
    for block in found:
        sent_s, received_s = block.sent_s, block.received_s
        for spec, name, missing, scale, offset, low, high in block.reader.plain:
            number = raw[name]
            value = number * scale + offset
            if low <= value <= high and number not in missing:  # false for NaN
                points[name] = Measurement(value, Quality.GOOD, sent_s, received_s)
            else:
                points[name] = measure(spec, raw, sent_s, received_s)
        for spec in block.reader.scaled:
            points[spec.name] = measure(spec, raw, sent_s, received_s)
    return points


def measure(spec: PointSpec, raw: Mapping[str, float], sent_s: float, received_s: float) -> Measurement:
    """The measurement of ``spec`` from raw numbers that contain it and its scale factor."""
    number = raw[spec.name]
    if number in spec.missing or math.isnan(number):
        return Measurement(math.nan, Quality.MISSING, sent_s, received_s, "not implemented by the device")
    exponent = 0.0
    if spec.sf is not None:
        exponent = raw.get(spec.sf, math.nan)
        if not SF_LOW <= exponent <= SF_HIGH:
            text = f"scale factor {spec.sf} reads {exponent:g}; expected {SF_LOW} to {SF_HIGH}"
            return Measurement(math.nan, Quality.BAD, sent_s, received_s, text)
    value = number * spec.scale * 10.0**exponent + spec.offset
    if not in_range(spec, value):
        text = f"reads {value:g} {spec.unit}; plausible is {spec.low} to {spec.high}"
        return Measurement(math.nan, Quality.BAD, sent_s, received_s, text)
    return Measurement(value, Quality.GOOD, sent_s, received_s)


def in_range(spec: PointSpec, value: float) -> bool:
    """True for a finite value inside the plausible range of the point."""
    low = -math.inf if spec.low is None else spec.low
    high = math.inf if spec.high is None else spec.high
    return math.isfinite(value) and low <= value <= high


def derive(spec: DerivedSpec, points: Mapping[str, Measurement]) -> Measurement:
    """A derived point; as old as its oldest source and as bad as its worst."""
    sources = [points[name] for name in spec.of]
    value = _OPS[spec.op]([source.value for source in sources]) if all(s.usable for s in sources) else math.nan
    return _combine(value, dict(zip(spec.of, sources, strict=True)))


def _combine(value: float, sources: Mapping[str, Measurement]) -> Measurement:
    worst = max(sources, key=lambda name: sources[name].quality)
    measured_s = min(source.measured_at_s for source in sources.values())
    received_s = max(source.received_at_s for source in sources.values())
    quality = sources[worst].quality
    if quality is not Quality.GOOD:
        return Measurement(math.nan, quality, measured_s, received_s, f"{worst}: {sources[worst].reason}")
    if not math.isfinite(value):
        text = f"computed from {', '.join(sources)} it is {value}; expected a finite number"
        return Measurement(math.nan, Quality.BAD, measured_s, received_s, text)
    return Measurement(value, quality, measured_s, received_s)


def read_back(profile: Profile, points: Mapping[str, Measurement]) -> dict[str, Measurement]:
    """``p_set_w`` and ``q_set_var``: what the device says it holds, in the house's sign.

    MISSING with the reason "no limit active" while the command is not enabled in the device.
    """
    out: dict[str, Measurement] = {}
    for name in ("p_w", "generation_w_max", "consumption_w_max"):
        command = profile.command(name)
        if command is not None:
            out["p_set_w"] = _held(command, points, -1.0 if name == "generation_w_max" else 1.0)
            break
    command = profile.command("q_var")
    if command is not None:
        out["q_set_var"] = _held(command, points, 1.0)
    return out


def _held(command: CommandSpec, points: Mapping[str, Measurement], sign: float) -> Measurement:
    names = [command.read_back or command.point, command.of, command.enable_point, command.mode_point]
    sources = {name: points[name] for name in names if name is not None and name in points}
    value = sign * math.prod(points[name].value for name in names[:2] if name is not None)
    held = _combine(value + 0.0, sources)
    if held.usable:
        for name, expected in ((command.enable_point, command.enable_value), (command.mode_point, command.mode_value)):
            if name in sources and sources[name].value != expected:
                text = f"no limit active: {name} reads {sources[name].value:g}; expected {expected:g}"
                return Measurement(math.nan, Quality.MISSING, held.measured_at_s, held.received_at_s, text)
    return held
