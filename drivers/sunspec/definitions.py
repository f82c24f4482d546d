"""What the SunSpec models are, from the definitions that come with pysunspec2 (``sunspec2/models/json``).

Only the part of a model whose place is fixed is described here: its own points and those of groups that do not repeat.
Offsets are in registers from the model's ID register (ID = 0, L = 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sunspec2.device import get_model_def
from sunspec2.mb import create_unimpl_value
from sunspec2.mdef import ModelDefinitionError

HEADER = 2
"""Registers of ID and L, which L does not count."""

_TYPES = {
    **{name: name for name in ("int16", "int32", "int64", "uint16", "uint32", "uint64", "float32", "string")},
    **dict.fromkeys(("enum16", "bitfield16", "acc16", "count"), "uint16"),
    **dict.fromkeys(("enum32", "bitfield32", "acc32"), "uint32"),
    "acc64": "uint64",
    "sunssf": "int16",
}
"""SunSpec types and what they are on the wire; addresses and padding hold no quantity and are left out."""


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """One point: ``type`` as in profiles, ``size`` in registers, ``missing`` the raw "not implemented" value.

    ``sf`` names the point of the same model that holds its power of ten, or is that power itself.
    """

    name: str
    type: str
    offset: int
    size: int
    sf: str | int | None
    missing: tuple[int, ...]
    writable: bool


@dataclass(frozen=True, slots=True)
class Model:
    """One model: points with a fixed place by name (``PFWInj.PF`` inside a group); ``length`` is L without repeats."""

    id: int
    label: str
    points: Mapping[str, ModelPoint]
    length: int


@cache
def model(model_id: int) -> Model | None:
    """The definition of a model; None when pysunspec2 has none (a vendor's own model)."""
    try:
        group = get_model_def(model_id)["group"]
    except ModelDefinitionError:
        return None
    points = {point.name: point for point in _points(group)}
    length = sum(_size(item) for item in _fixed_points(group)) - HEADER
    return Model(model_id, str(group.get("label", group["name"])), points, length)


def _points(group: Mapping[str, Any]) -> Iterator[ModelPoint]:
    offset = 0
    for prefix, item in _named_points(group, ""):
        kind = _TYPES.get(item["type"])
        if kind is not None:
            yield ModelPoint(
                name=f"{prefix}{item['name']}",
                type=kind,
                offset=offset,
                size=_size(item),
                sf=_scale_factor(item),
                missing=_missing(item["type"], kind),
                writable=item.get("access") == "RW",
            )
        offset += _size(item)


def _named_points(group: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Points in the order of their registers with the names of their groups, up to the first repeat."""
    yield from ((prefix, item) for item in group.get("points", ()))
    for inner in group.get("groups", ()):
        if inner.get("count") is not None:
            return
        yield from _named_points(inner, f"{prefix}{inner['name']}.")


def _fixed_points(group: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (item for _, item in _named_points(group, ""))


def _size(item: Mapping[str, Any]) -> int:
    return int(item["size"])


def _scale_factor(item: Mapping[str, Any]) -> str | int | None:
    found = item.get("sf")
    if found is None or isinstance(found, int):
        return found
    text = str(found)
    return int(text) if text.lstrip("-").isdigit() else text


def _missing(sunspec_type: str, kind: str) -> tuple[int, ...]:
    """Raw value for "not implemented"; floats have NaN for it, strings are not numbers."""
    if kind in ("float32", "string"):
        return ()
    data: bytes = create_unimpl_value(sunspec_type)
    return (int.from_bytes(data, "big", signed=kind.startswith("int")),)
