"""Which node of a server is which point: by namespace URI and browse path, never by a NodeId from before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from asyncua import ua
from asyncua.client.ua_client import UaClient
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.session.guard import LinkError
from drivers.profile import PointSpec, Profile

_WHOLE_PATH = 0xFFFF_FFFF  # RemainingPathIndex of a browse path that was followed to its end


class Resolver:
    """Finds and checks nodes: browse name, data type, engineering unit."""

    def __init__(self, uaclient: UaClient, profile: Profile) -> None:
        self._uaclient = uaclient
        self._profile = profile
        self._problems: dict[str, str] = {}

    async def run(self) -> tuple[dict[str, ua.NodeId], dict[str, str]]:
        """(nodes by point, problems by point); together they name every point."""
        index = await self._namespace_index()
        if index is None:
            problem = f"namespace {self._profile.namespace_uri} is not on the server"
            return {}, {spec.name: problem for spec in self._profile.points}
        found, units = await self._translate(index)
        await self._check(index, found, units)
        return {name: node for name, node in found.items() if name not in self._problems}, self._problems

    async def _namespace_index(self) -> int | None:
        node = ua.NodeId(ua.Int32(ObjectIds.Server_NamespaceArray))
        (answer,) = await self._uaclient.read(ua.ReadParameters(NodesToRead=[value_of(node)]))
        uris = answer.Value.Value if answer.Value is not None else None
        if not isinstance(uris, list) or self._profile.namespace_uri not in uris:
            return None
        return uris.index(self._profile.namespace_uri)

    async def _translate(self, index: int) -> tuple[dict[str, ua.NodeId], dict[str, ua.NodeId]]:
        """Nodes of the points, and of their EngineeringUnits where the server has them."""
        specs = self._profile.points
        paths = [
            _browse_path(index, (*self._profile.root, *spec.path), units) for units in (False, True) for spec in specs
        ]
        results = await self._uaclient.translate_browsepaths_to_nodeids(paths)
        if len(results) != len(paths):
            raise LinkError(f"browse: server sent {len(results)} results; expected {len(paths)}")
        found: dict[str, ua.NodeId] = {}
        for spec, result in zip(specs, results, strict=False):
            node = _single_target(result)
            if node is None:
                self._problems[spec.name] = f"{self._place(spec)} is not on the server ({result.StatusCode.name})"
            else:
                found[spec.name] = node
        targets = zip(specs, (_single_target(result) for result in results[len(specs) :]), strict=True)
        return found, {spec.name: node for spec, node in targets if node is not None and spec.name in found}

    async def _check(self, index: int, found: dict[str, ua.NodeId], units: dict[str, ua.NodeId]) -> None:
        attributes = (AttributeIds.BrowseName, AttributeIds.DataType)
        wanted = [attribute_of(node, attribute) for node in found.values() for attribute in attributes]
        wanted += [value_of(units[name]) for name in units]
        if not wanted:
            return
        answers = await self._uaclient.read(ua.ReadParameters(NodesToRead=wanted))
        if len(answers) != len(wanted):
            raise LinkError(f"browse: server sent {len(answers)} attributes; expected {len(wanted)}")
        values = [answer.Value.Value if answer.Value is not None else None for answer in answers]
        for number, name in enumerate(found):
            self._check_node(self._profile.point(name), index, *values[2 * number : 2 * number + 2])
        for name, unit in zip(units, values[2 * len(found) :], strict=True):
            self._check_unit(self._profile.point(name), unit)

    def _check_node(self, spec: PointSpec, index: int, browse_name: Any, data_type: Any) -> None:
        if browse_name != ua.QualifiedName(spec.path[-1], ua.UInt16(index)):
            self._problems[spec.name] = f"{self._place(spec)} is called {browse_name} by the server"
        elif data_type != _built_in(spec.type):
            self._problems[spec.name] = f"{self._place(spec)} has DataType {data_type}; expected {spec.type}"

    def _check_unit(self, spec: PointSpec, unit: Any) -> None:
        shown = unit.DisplayName.Text if isinstance(unit, ua.EUInformation) and unit.DisplayName else None
        if shown is not None and spec.unit and shown != spec.unit:
            self._problems[spec.name] = f"{self._place(spec)} is in {shown}; expected {spec.unit}"

    def _place(self, spec: PointSpec) -> str:
        return "/".join((*self._profile.root, *spec.path))


def _browse_path(index: int, names: Sequence[str], units: bool) -> ua.BrowsePath:
    """From Objects along hierarchical references; with ``units`` on to the property EngineeringUnits."""
    steps = [ua.QualifiedName(name, ua.UInt16(index)) for name in names]
    steps += [ua.QualifiedName("EngineeringUnits", ua.UInt16(0))] if units else []
    hierarchical = ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences))
    forward, subtypes = cast(ua.Boolean, False), cast(ua.Boolean, True)
    elements = [ua.RelativePathElement(hierarchical, forward, subtypes, step) for step in steps]
    return ua.BrowsePath(ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)), ua.RelativePath(elements))


def _single_target(result: ua.BrowsePathResult) -> ua.NodeId | None:
    """The one local node that a path leads to; None when there is none, more than one, or only part of the way."""
    if not result.StatusCode.is_good() or len(result.Targets) != 1:
        return None
    target = result.Targets[0]
    if target.RemainingPathIndex != _WHOLE_PATH or getattr(target.TargetId, "ServerIndex", 0):
        return None
    return ua.NodeId(target.TargetId.Identifier, target.TargetId.NamespaceIndex)


def _built_in(type_name: str) -> ua.NodeId:
    return ua.NodeId(ua.Int32(ua.VariantType[type_name].value))


def attribute_of(node: ua.NodeId, attribute: AttributeIds) -> ua.ReadValueId:
    """A request for one attribute of a node."""
    return ua.ReadValueId(NodeId=node, AttributeId=attribute)


def value_of(node: ua.NodeId) -> ua.ReadValueId:
    """A request for the value of a node."""
    return attribute_of(node, AttributeIds.Value)
