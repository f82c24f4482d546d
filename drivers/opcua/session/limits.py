"""How much of a kind a server takes in one call (OPC 10000-5, OperationLimits and ServerCapabilities)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.session.binary import Reader, numeric_id
from drivers.opcua.session.protocol import RefusedError
from drivers.opcua.session.services import READ, Service, read_answer, read_request, read_value_id
from drivers.opcua.values import NodeValue

Ask = Callable[[Service, bytes], Awaitable[Reader]]

PATHS_MAX, ITEMS_MAX = 50, 100
"""Of ours: as many as are encoded and decoded within a millisecond or two."""
READS_MAX = 1000
"""Of ours: as many values as fit our cap on a message with room to spare."""

_NODES = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    ObjectIds.Server_ServerCapabilities_MinSupportedSampleRate,
)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The smaller of the server's and our own, per call; ``sampling_s_min`` is the server's fastest."""

    reads: int = READS_MAX
    writes: int = ITEMS_MAX
    paths: int = PATHS_MAX
    items: int = ITEMS_MAX
    sampling_s_min: float = 0.0

    def halved(self) -> ServerLimits:
        """For a server that takes less in a call than it tells."""
        return replace(self, reads=max(1, self.reads // 2), paths=max(1, self.paths // 2))


async def server_limits(ask: Ask) -> ServerLimits:
    """Ask the server; what it does not tell, or gives as 0, is no limit of its own."""
    items = [read_value_id(numeric_id(int(node))) for node in _NODES]
    try:
        told = await read_answer(await ask(READ, read_request(items)), len(items))
    except RefusedError:  # it may take less in a call than this
        told = [(await read_answer(await ask(READ, read_request([item])), 1))[0] for item in items]
    reads, writes, paths, monitored, rate = told
    return ServerLimits(
        _smaller(reads, READS_MAX),
        _smaller(writes, ITEMS_MAX),
        _smaller(paths, PATHS_MAX),
        _smaller(monitored, ITEMS_MAX),
        _milliseconds(rate),
    )


def _smaller(told: NodeValue, ours: int) -> int:
    value = told.value if told.status >> 30 == 0 and told.type == "UInt32" else None
    return min(value, ours) if isinstance(value, int) and value > 0 else ours


def _milliseconds(told: NodeValue) -> float:
    value = told.value if told.status >> 30 == 0 and told.type == "Double" else None
    return value / 1000.0 if isinstance(value, float) and 0.0 < value < 60_000.0 else 0.0


_T = TypeVar("_T")


def batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """``items`` in runs of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))
