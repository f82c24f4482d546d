"""Which node of a server is which point: by namespace URI and browse path, never by a NodeId from before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.session.binary import array, numeric_id
from drivers.opcua.session.datavalue import NUMBER_CODES
from drivers.opcua.session.facts import Fact
from drivers.opcua.session.limits import Ask, ServerLimits, batches
from drivers.opcua.session.services import (
    READ,
    TRANSLATE,
    PathTarget,
    browse_path,
    read_answer,
    read_request,
    read_value_id,
    translate_answer,
    unit_name,
)
from drivers.opcua.values import NodeValue
from drivers.profile import PointSpec, Profile

NAMESPACES = numeric_id(int(ObjectIds.Server_NamespaceArray))


@dataclass(frozen=True, slots=True)
class Found:
    """Nodes and what they are called, by point; ``problems`` says why for every point that has none.

    ``facts`` is what that rests on.
    """

    nodes: Mapping[str, bytes]
    names: Mapping[str, tuple[int, str]]
    problems: Mapping[str, str]
    facts: tuple[Fact, ...] = ()


class Resolver:
    """Finds and checks nodes: browse name, data type, engineering unit."""

    def __init__(self, ask: Ask, profile: Profile, limits: ServerLimits) -> None:
        self._ask = ask
        self._profile = profile
        self._limits = limits
        self._problems: dict[str, str] = {}
        self._facts: list[Fact] = []
        self._paths: list[Fact] = []

    async def run(self) -> Found:
        """What the server has; nodes and problems together name every point."""
        index = await self._namespace_index()
        if index is None:
            problem = f"namespace {self._profile.namespace_uri} is not on the server"
            return Found({}, {}, {spec.name: problem for spec in self._profile.points})
        found, units = await self._translate(index)
        await self._check(index, found, units)
        nodes = {name: node for name, node in found.items() if name not in self._problems}
        names = {name: (index, self._profile.point(name).path[-1]) for name in nodes}
        return Found(nodes, names, self._problems, (*self._facts, *self._paths))

    async def _namespace_index(self) -> int | None:
        item = read_value_id(NAMESPACES)
        (answer,) = await self._read([item])
        if not isinstance(answer.value, tuple) or self._profile.namespace_uri not in answer.value:
            return None
        self._facts.append(Fact(READ, item, answer.value))
        return answer.value.index(self._profile.namespace_uri)

    async def _translate(self, index: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Nodes of the points, and of their EngineeringUnits where the server has them."""
        specs = self._profile.points
        paths = [
            browse_path(index, (*self._profile.root, *spec.path), units) for units in (False, True) for spec in specs
        ]
        targets = await self._follow(paths)
        under = [spec.path[:-1] for spec in specs] + [()] * len(specs)
        self._paths = [
            Fact(TRANSLATE, path, target.node, parent)
            for path, target, parent in zip(paths, targets, under, strict=True)
            if target.node
        ]
        found: dict[str, bytes] = {}
        for spec, target in zip(specs, targets, strict=False):
            if target.node is None:
                self._problems[spec.name] = f"{self._place(spec)} is not on the server ({target.status})"
            else:
                found[spec.name] = target.node
        units = zip(specs, targets[len(specs) :], strict=True)
        return found, {spec.name: unit.node for spec, unit in units if unit.node is not None and spec.name in found}

    async def _follow(self, paths: list[bytes]) -> list[PathTarget]:
        targets: list[PathTarget] = []
        for batch in batches(paths, self._limits.paths):
            answer = await self._ask(TRANSLATE, array(batch))
            targets += translate_answer(answer, len(batch))
        return targets

    async def _read(self, items: list[bytes]) -> list[NodeValue]:
        found: list[NodeValue] = []
        for batch in batches(items, min(self._limits.reads, self._limits.items)):
            found += await read_answer(await self._ask(READ, read_request(batch)), len(batch))
        return found

    async def _check(self, index: int, found: dict[str, bytes], units: dict[str, bytes]) -> None:
        attributes = (int(AttributeIds.BrowseName), int(AttributeIds.DataType))
        wanted = [read_value_id(node, attribute) for node in found.values() for attribute in attributes]
        wanted += [read_value_id(units[name]) for name in units]
        values = [answer.value for answer in await self._read(wanted)]
        self._facts += [Fact(READ, item, value) for item, value in zip(wanted, values, strict=True)]
        for number, name in enumerate(found):
            self._check_node(self._profile.point(name), index, *values[2 * number : 2 * number + 2])
        for name, unit in zip(units, values[2 * len(found) :], strict=True):
            self._check_unit(self._profile.point(name), unit)

    def _check_node(self, spec: PointSpec, index: int, browse_name: object, data_type: object) -> None:
        if browse_name != (index, spec.path[-1]):
            self._problems[spec.name] = f"{self._place(spec)} is called {browse_name} by the server"
        elif data_type != numeric_id(NUMBER_CODES[spec.type]):
            shown = _type_name(data_type)
            self._problems[spec.name] = f"{self._place(spec)} has DataType {shown}; expected {spec.type}"

    def _check_unit(self, spec: PointSpec, unit: object) -> None:
        shown = unit_name(unit)
        if shown is not None and spec.unit and shown != spec.unit:
            self._problems[spec.name] = f"{self._place(spec)} is in {shown}; expected {spec.unit}"

    def _place(self, spec: PointSpec) -> str:
        return "/".join((*self._profile.root, *spec.path))


def _type_name(data_type: object) -> str:
    """A built-in type by its name, any other as it came."""
    names = {numeric_id(code): name for name, code in NUMBER_CODES.items()}
    return names.get(data_type, data_type.hex()) if isinstance(data_type, bytes) else "unknown"
