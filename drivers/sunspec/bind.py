"""From a profile whose points are bound to models (``701.W``) and a device's own chain to a profile with addresses.

Scale factors and the headers of all models in use become points as well: a header is read in the same request as the
data behind it, so that a model that has moved is noticed in the very answer that would otherwise be misread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from drivers.profile import CommandSpec, PointSpec, Profile
from drivers.sunspec.chain import END_ID, MARKER, Chain, ModelAt
from drivers.sunspec.definitions import HEADER, Model, ModelPoint, model

MARKER_POINT, END_POINT = "sunspec_marker", "model_end"
_HEADER_NAMES = {"ID": "model_{}_id", "L": "model_{}_length"}


@dataclass(frozen=True, slots=True)
class Bound:
    """A profile that fits one device.

    ``headers`` are points with the value that they must read; ``unbound`` says for the other points of the original
    profile why the device does not have them.
    """

    profile: Profile
    headers: Mapping[str, float]
    unbound: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Place:
    at: ModelAt
    point: ModelPoint
    factor: ModelPoint | None


def bind(profile: Profile, chain: Chain) -> Bound:
    """``profile`` with the addresses of ``chain``; the marker is its identity; commands that lack a point are gone."""
    points: dict[str, PointSpec] = {}
    models: dict[int, ModelAt] = {}
    unbound: dict[str, str] = {}
    for spec in profile.points:
        if not spec.sunspec:
            continue
        place = _find(spec.sunspec, chain)
        if isinstance(place, str):
            unbound[spec.name] = place
            continue
        factor = _factor(place)
        points[spec.name] = _placed(spec, place, factor.name if factor is not None else None)
        if factor is not None:
            points[factor.name] = factor
        models[place.at.id] = place.at
    headers, values = _headers(models.values())
    marker = PointSpec(MARKER_POINT, "uint32", "1", "SunSpec marker SunS", address=chain.base)
    bound = replace(
        profile,
        points=(marker, *headers, *points.values()),
        derived=tuple(item for item in profile.derived if all(name in points for name in item.of)),
        commands=tuple(command for command in profile.commands if not _lacking(command, points)),
        identity={MARKER_POINT: float(MARKER)},
    )
    return Bound(bound, values, unbound)


def with_addresses(profile: Profile, chain: Chain) -> Profile:
    """The same for a chain that is known: every header and the end of the chain are part of the identity."""
    bound = bind(profile, chain)
    end = PointSpec(END_POINT, "uint32", "1", "SunSpec end of the chain", address=chain.end)
    others = [found for found in chain.models if f"model_{found.id}_id" not in bound.headers]
    headers, values = _headers(others)
    return replace(
        bound.profile,
        points=(*bound.profile.points, *headers, end),
        identity={**bound.profile.identity, **bound.headers, **values, END_POINT: float(END_ID << 16)},
    )


def lacking_reason(profile: Profile, bound: Bound, command_name: str) -> str:
    """Why a command of ``profile`` is not in ``bound``; empty when it is."""
    command = profile.command(command_name)
    if command is None or bound.profile.command(command_name) is not None:
        return ""
    names = [name for name in _points_of(command) if name in bound.unbound]
    return "; ".join(f"{name}: {bound.unbound[name]}" for name in names)


def _find(choices: tuple[str, ...], chain: Chain) -> _Place | str:
    """The first of ``choices`` (``701.W``) that the device has, or why it has none of them."""
    reasons = []
    for choice in choices:
        model_id, _, name = choice.partition(".")
        found = chain.find(int(model_id))
        definition = model(int(model_id))
        if not found or definition is None:
            reasons.append(f"the device has no model {model_id}")
        elif len(found) > 1:
            reasons.append(f"the device has {len(found)} models {model_id}")
        else:
            place = _Place(found[0], definition.points[name], _factor_of(definition, definition.points[name]))
            needed = [part for part in (place.point, place.factor) if part is not None]
            short = next((part.name for part in needed if part.offset + part.size > found[0].length + HEADER), None)
            if short is None:
                return place
            reasons.append(f"model {model_id} of the device has length {found[0].length}, too short for {short}")
    return ", ".join(reasons)


def _factor_of(definition: Model, point: ModelPoint) -> ModelPoint | None:
    """The point that holds the power of ten of ``point``, in its own group or in the model; None for a constant."""
    if not isinstance(point.sf, str):
        return None
    group = point.name.rpartition(".")[0]
    inner = definition.points.get(f"{group}.{point.sf}")
    return inner if inner is not None else definition.points[point.sf]


def _factor(place: _Place) -> PointSpec | None:
    """The same as a point of the profile."""
    if place.factor is None:
        return None
    return PointSpec(
        name=f"model_{place.at.id}_{place.factor.name.lower().replace('.', '_')}",
        type="int16",
        unit="1",
        ref=f"SunSpec {place.at.id} {place.factor.name}",
        address=place.at.address + place.factor.offset,
        missing=place.factor.missing,
        low=-10.0,
        high=10.0,
    )


def _placed(spec: PointSpec, place: _Place, factor: str | None) -> PointSpec:
    constant = 10.0**place.point.sf if isinstance(place.point.sf, int) else 1.0
    return replace(
        spec,
        type=place.point.type,
        length=place.point.size if place.point.type == "string" else 0,
        address=place.at.address + place.point.offset,
        sf=factor,
        scale=spec.scale * constant,
        missing=place.point.missing,
        ref=f"SunSpec {place.at.id} {place.point.name}",
    )


def _headers(models: Iterable[ModelAt]) -> tuple[list[PointSpec], dict[str, float]]:
    points, values = [], {}
    for at in sorted(models, key=lambda found: found.address):
        for name, address, number in (("ID", at.address, at.id), ("L", at.address + 1, at.length)):
            point = PointSpec(
                _HEADER_NAMES[name].format(at.id), "uint16", "1", f"SunSpec {at.id} {name}", address=address
            )
            points.append(point)
            values[point.name] = float(number)
    return points, values


def _points_of(command: CommandSpec) -> tuple[str, ...]:
    names = (
        command.point,
        command.of,
        command.enable_point,
        command.lease_point,
        command.revert_point,
        command.revert_enable_point,
        command.read_back,
        command.mode_point,
        command.mirror_point,
    )
    return tuple(name for name in names if name is not None)


def _lacking(command: CommandSpec, points: Mapping[str, PointSpec]) -> bool:
    return any(name not in points for name in _points_of(command))
