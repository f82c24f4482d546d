"""One session: connect, find the points, read, write, close."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.deadline import deadline
from drivers.opcua.security import OpcUaSecurity
from drivers.opcua.session.guard import GuardedClient, LinkError, abort, connect, field_faults
from drivers.opcua.session.nodes import Resolver, value_of
from drivers.opcua.values import NodeValue
from drivers.profile import PointSpec, Profile

CLOSE_S = 0.25
RESOLVE_AGAIN_S = 10.0
"""How soon points that were not found are looked for again in the same session."""

_NODE_IS_GONE = (StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid)


class UnresolvedError(Exception):
    """A point that is to be written was not found on the server, or is not what the profile says."""


class OpcUaSession:
    """An activated session and the nodes that the profile's points are in it.

    ``problems`` says for every point that cannot be used why. All times are machine seconds. Every method but
    :meth:`abort` and :meth:`close` raises :class:`LinkError` for a fault; the session is then dead.
    """

    def __init__(self, client: GuardedClient, profile: Profile) -> None:
        self._client = client
        self._profile = profile
        self._nodes: dict[str, ua.NodeId] = {}
        self._read = ua.ReadParameters()
        self._renew_at_s = self._loop_s() + 0.5 * client.secure_channel_timeout / 1000.0
        self._resolve_at_s = math.inf
        self.problems: Mapping[str, str] = {}

    @classmethod
    async def open(
        cls, endpoint: str, profile: Profile, within_s: float, session_s: float, security: OpcUaSecurity | None
    ) -> OpcUaSession:
        """Connect with a new client and find every point. ``session_s`` is how long the server keeps it unused."""
        client = GuardedClient(endpoint, within_s)
        client.session_timeout = int(session_s * 1000)
        try:
            with field_faults(f"connect to {endpoint}", security):
                async with deadline(within_s):
                    await connect(client, security)
                    session = cls(client, profile)
                    await session.resolve()
        except BaseException:
            abort(client)
            raise
        return session

    @property
    def alive(self) -> bool:
        """False once the peer or a fault has ended the connection."""
        protocol = self._client.uaclient.protocol
        return protocol is not None and protocol.transport is not None and not protocol.transport.is_closing()

    async def resolve(self) -> None:
        """Find the node of every point by namespace URI and browse path and check that it is what the profile says."""
        with field_faults("browse", None):
            self._nodes, self.problems = await Resolver(self._client.uaclient, self._profile).run()
        self._read = ua.ReadParameters(
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            NodesToRead=[value_of(node) for node in self._nodes.values()],
        )
        self._resolve_at_s = self._loop_s() + RESOLVE_AGAIN_S if self.problems else math.inf

    async def read(self) -> dict[str, NodeValue]:
        """One Read of every point that was found; whatever else is due (renewal, looking again) comes first."""
        if self._loop_s() > self._resolve_at_s:
            await self.resolve()
        if not self._nodes:
            return {}
        with field_faults("read", None):
            if self._loop_s() > self._renew_at_s:
                await self._renew()
            answers = await self._client.uaclient.read(self._read)
        if len(answers) != len(self._nodes):
            raise LinkError(f"read: server sent {len(answers)} values; expected {len(self._nodes)}")
        if any(answer.StatusCode is not None and answer.StatusCode.value in _NODE_IS_GONE for answer in answers):
            self._resolve_at_s = min(self._resolve_at_s, self._loop_s() + RESOLVE_AGAIN_S)
        return {name: _node_value(answer) for name, answer in zip(self._nodes, answers, strict=True)}

    async def write(self, writes: Sequence[tuple[PointSpec, float]]) -> list[NodeValue]:
        """One Write; a status per point, in order, as a :class:`NodeValue` without a value."""
        unresolved = [spec.name for spec, _ in writes if spec.name not in self._nodes]
        if unresolved:
            raise UnresolvedError("; ".join(f"{name}: {self.problems.get(name, 'unknown')}" for name in unresolved))
        params = ua.WriteParameters(NodesToWrite=[_write_of(self._nodes[spec.name], spec, raw) for spec, raw in writes])
        with field_faults("write", None):
            statuses = await self._client.uaclient.write(params)
        if len(statuses) != len(writes):
            raise LinkError(f"write: server sent {len(statuses)} statuses; expected {len(writes)}")
        return [NodeValue(int(status.value), status.name, "", None) for status in statuses]

    def abort(self) -> None:
        """Cut the connection now; requests under way fail at once."""
        abort(self._client)

    async def close(self) -> None:
        """Give the session back to the server if it answers soon, then cut."""
        try:
            with field_faults("close", None):
                async with deadline(CLOSE_S):
                    await self._client.close_session()
                    await self._client.close_secure_channel()
        except LinkError:
            return  # the server drops an abandoned session by itself
        finally:
            abort(self._client)

    async def _renew(self) -> None:
        await self._client.open_secure_channel(renew=True)
        self._client.uaclient.revolve_security_token()
        self._renew_at_s = self._loop_s() + 0.5 * self._client.secure_channel_timeout / 1000.0

    @staticmethod
    def _loop_s() -> float:
        return asyncio.get_running_loop().time()


def _write_of(node: ua.NodeId, spec: PointSpec, raw: float) -> ua.WriteValue:
    """Value only: some servers refuse a write that brings a status or a timestamp."""
    data = ua.DataValue(ua.Variant(raw, ua.VariantType[spec.type]), StatusCode=None)
    return ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=data)


def _node_value(answer: ua.DataValue) -> NodeValue:
    status = answer.StatusCode if answer.StatusCode is not None else ua.StatusCode()
    variant = answer.Value
    kind = "" if variant is None or variant.VariantType is ua.VariantType.Null else variant.VariantType.name
    if variant is not None and variant.is_array:
        kind += "[]"
    return NodeValue(
        int(status.value),
        status.name,
        kind,
        None if variant is None else variant.Value,
        cast("datetime | None", answer.SourceTimestamp),
        cast("datetime | None", answer.ServerTimestamp),
    )
