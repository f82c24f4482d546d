"""The curves of a SunSpec inverter: volt-var (705), volt-watt (706) and watt-var (712). Reading.

Curve 1 is the one in force and cannot be written; :mod:`drivers.sunspec.adopt` says how it is replaced by another one.
pysunspec2 takes the values apart, after the counts of curves and points were checked against the model's length (it
would build as many curves as a device announces: 65 534 of them took it 14 s).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sunspec2.device import Model as SunSpecModel
from sunspec2.device import get_model_def

from drivers.sunspec.definitions import HEADER, model

CURVE_MODELS = (705, 706, 712)
CURVES_MAX, POINTS_MAX = 16, 32
SF_LOW, SF_HIGH = -10, 10


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve in force: corner points as (x, y) in the percentages of the model; x is V or W, y is Var or W."""

    model_id: int
    enabled: bool
    corners: tuple[tuple[float, float], ...]


def read_curve(model_id: int, data: bytes) -> Curve | None:
    """The curve in force from all registers of a model (ID and L included); None when they do not hold together."""
    definition = model(model_id)
    if definition is None or len(data) < 2 * (HEADER + definition.length):
        return None
    counts = [_word(data, definition.points[name].offset) for name in ("NCrv", "NPt")]
    if not (1 <= counts[0] <= CURVES_MAX and 1 <= counts[1] <= POINTS_MAX):
        return None
    if _registers(model_id, *counts) != len(data) // 2 or _word(data, 1) + HEADER != len(data) // 2:
        return None
    factors = _factors(model_id, data)
    if any(factor is not None and not SF_LOW <= factor <= SF_HIGH for factor in factors.values()):
        return None
    found = SunSpecModel(model_id=model_id, model_len=_word(data, 1), data=data).get_dict(computed=True)
    curve = found["Crv"][0]
    scaled = all(factors[name] is not None for name in _needed(model_id))
    return Curve(model_id, found["Ena"] == 1, tuple(_corners(curve)) if scaled else ())


def _factors(model_id: int, data: bytes) -> dict[str, int | None]:
    """Scale factors by name; None for one that is not implemented."""
    definition = model(model_id)
    points = definition.points.items() if definition is not None else ()
    raw = {name: _word(data, point.offset) for name, point in points if name.endswith("_SF")}
    return {name: None if word == 0x8000 else word - (word >> 15 << 16) for name, word in raw.items()}


def _needed(model_id: int) -> set[str]:
    """The scale factors of the coordinates of a corner."""
    (curve,) = get_model_def(model_id)["group"]["groups"]
    return {axis["sf"] for axis in curve["groups"][0]["points"]}


def _corners(curve: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Points in use that have both coordinates."""
    corners = []
    for point in curve["Pt"][: curve["ActPt"] or 0]:
        x, y = point.values()
        if x is not None and y is not None:
            corners.append((float(x), float(y)))
    return corners


def _registers(model_id: int, curves: int, points: int) -> int:
    """Length of a model with so many curves of so many points."""
    group = get_model_def(model_id)["group"]
    (repeated,) = group["groups"]
    (point,) = repeated["groups"]
    fixed, curve, corner = (sum(int(item["size"]) for item in part["points"]) for part in (group, repeated, point))
    return fixed + curves * (curve + points * corner)


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[2 * offset : 2 * offset + 2], "big")
