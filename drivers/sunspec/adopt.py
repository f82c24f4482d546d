"""Another curve for a SunSpec inverter: which registers to write so that it can be adopted.

SunSpec 705, 706, 712: curve 1 is the one in force and cannot be written. Another one that can be is given the corners,
and everything else as it stands in curve 1; it takes effect only when AdptCrvReq is written, and AdptCrvRslt says
whether it did.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sunspec2.device import get_model_def

from drivers.sunspec.curves import CURVE_MODELS, read_curve
from drivers.sunspec.definitions import HEADER, model

IN_PROGRESS, COMPLETED, FAILED = 0, 1, 2
"""Values of AdptCrvRslt."""
WRITABLE = 0
"""ReadOnly of a curve that may be written."""
_WORD_LIMITS = {"int16": (-32767, 32767), "uint16": (0, 65534)}


class CurveError(ValueError):
    """The curve cannot be given to this device; what was in force still is."""


@dataclass(frozen=True, slots=True)
class CurvePlan:
    """Writes (offset from the model's ID in registers, bytes), after which ``index`` (from 1) is to be adopted.

    ``steps`` is what one step of a register is worth, for either coordinate.
    """

    index: int
    steps: tuple[float, ...]
    writes: tuple[tuple[int, bytes], ...]
    request_at: int
    result_at: int
    enable_at: int


def plan_curve(model_id: int, data: bytes, corners: Sequence[tuple[float, float]]) -> CurvePlan:
    """How to bring ``corners`` into the model whose registers are ``data`` (ID and L included).

    Coordinates are the percentages of the model. Raises :class:`CurveError` when the device has no room for them.
    """
    definition = model(model_id)
    if model_id not in CURVE_MODELS or definition is None or read_curve(model_id, data) is None:
        raise CurveError(f"model {model_id} of the device does not hold together; expected 705, 706 or 712")
    layout = _Layout.of(model_id, data)
    if not 2 <= len(corners) <= layout.points:
        raise CurveError(f"{len(corners)} corners; expected 2 to {layout.points}, as many as the device has room for")
    index = next((k for k in range(1, layout.curves) if layout.word(k, "ReadOnly") == WRITABLE), None)
    if index is None:
        raise CurveError(f"none of its {layout.curves} curves of model {model_id} can be written")
    wanted = layout.with_corners(corners)
    return CurvePlan(
        index + 1,
        tuple(10.0 ** layout.factors[axis["name"]] for axis in layout.axes),
        tuple(layout.runs(index, wanted)),
        definition.points["AdptCrvReq"].offset,
        definition.points["AdptCrvRslt"].offset,
        definition.points["Ena"].offset,
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts of a curve model lie; numbers in registers."""

    data: bytes
    head: int
    fields: Sequence[Mapping[str, Any]]
    axes: Sequence[Mapping[str, Any]]
    curves: int
    points: int
    factors: Mapping[str, int]

    @classmethod
    def of(cls, model_id: int, data: bytes) -> _Layout:
        group = get_model_def(model_id)["group"]
        curve = group["groups"][0]
        definition = model(model_id)
        if definition is None:
            raise CurveError(f"model {model_id} is not known")

        def number(name: str) -> int:
            at = 2 * definition.points[name].offset
            return int.from_bytes(data[at : at + 2], "big", signed=name.endswith("_SF"))

        axes = curve["groups"][0]["points"]
        factors = {axis["name"]: number(axis["sf"]) for axis in axes}
        return cls(data, HEADER + definition.length, curve["points"], axes, number("NCrv"), number("NPt"), factors)

    @property
    def size(self) -> int:
        """Registers of one curve."""
        return sum(int(item["size"]) for item in self.fields) + self.points * len(self.axes)

    def word(self, index: int, name: str) -> int:
        """A field of curve ``index`` (from 0)."""
        at = 2 * (self.head + index * self.size + self._field_at(name))
        return int.from_bytes(self.data[at : at + 2], "big")

    def with_corners(self, corners: Sequence[tuple[float, float]]) -> bytes:
        """The curve in force with other corners; what is behind the last one stays."""
        curve = bytearray(self.data[2 * self.head : 2 * (self.head + self.size)])
        if any(not left[0] < right[0] for left, right in pairwise(corners)):
            raise CurveError("the corners do not go from left to right; expected the first coordinate to grow")
        at = 2 * self._field_at("ActPt")
        curve[at : at + 2] = len(corners).to_bytes(2, "big")
        at = 2 * sum(int(item["size"]) for item in self.fields)
        words = b"".join(
            self._word_of(axis, value) for corner in corners for axis, value in zip(self.axes, corner, strict=True)
        )
        curve[at : at + len(words)] = words
        return bytes(curve)

    def runs(self, index: int, curve: bytes) -> Iterator[tuple[int, bytes]]:
        """Neighbouring registers that may be written, as one write each."""
        start, at = self.head + index * self.size, 0
        begun: int | None = None
        for item in self.fields:
            if item.get("access") != "RW" and begun is not None:
                yield start + begun, curve[2 * begun : 2 * at]
                begun = None
            elif item.get("access") == "RW" and begun is None:
                begun = at
            at += int(item["size"])
        first = at if begun is None else begun
        yield start + first, curve[2 * first :]

    def _field_at(self, name: str) -> int:
        at = 0
        for item in self.fields:
            if item["name"] == name:
                return at
            at += int(item["size"])
        raise KeyError(name)

    def _word_of(self, axis: Mapping[str, Any], value: float) -> bytes:
        low, high = _WORD_LIMITS[axis["type"]]
        exponent = self.factors[axis["name"]]
        raw = value / 10.0**exponent if math.isfinite(value) and -10 <= exponent <= 10 else math.nan
        if not low <= raw <= high:
            raise CurveError(f"{axis['name']} {value:g} % cannot be said with a scale of 10^{exponent}")
        return (round(raw) & 0xFFFF).to_bytes(2, "big")
