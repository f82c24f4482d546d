"""Which parts of a network hardly know of each other: feeders that only meet at a busbar.

What happens on one feeder reaches another only through the busbar's voltage, a few thousandths of the flow. So the
estimator treats each as a block of its own; only the rows that several of them feed (transformers, the interface, a
common trunk) connect them. A site of up to ``BLOCK_STATES`` states is one block, in which nothing is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.topology import Line, Topology

IndexArray = NDArray[np.intp]

BLOCK_STATES = 96  # as many are cheaper together than apart
TRUNK_MAX = 8  # buses that are taken out of the network to make it fall apart


@dataclass(frozen=True)
class Partition:
    """Indices by block: ``states[b]`` and ``rows[b]`` belong to block b, ``shared_rows`` to no single one.

    Rows are branch P, branch Q, interface P and Q; states as in the estimator's layout.
    """

    states: tuple[IndexArray, ...]
    rows: tuple[IndexArray, ...]
    shared_rows: IndexArray

    @staticmethod
    def whole(n_state: int, n_row: int) -> Partition:
        """Everything in one block."""
        return Partition((np.arange(n_state),), (np.arange(n_row),), np.empty(0, np.intp))


def partition(topology: Topology, injection_buses: Sequence[str], unit_buses: Sequence[str]) -> Partition:
    """Blocks of a network with these units; units at the source bus go with the first block."""
    n_w, n_unit, n_branch = len(injection_buses), len(unit_buses), len(topology.branches)
    n_state, n_row = 2 * (n_w + n_unit), 2 * n_branch + 2
    if n_state <= BLOCK_STATES:
        return Partition.whole(n_state, n_row)
    size = {bus: 2.0 * (1 + unit_buses.count(bus)) for bus in injection_buses}
    trunk, groups = _fall_apart(topology, size)
    block = _packed([*groups, *([bus] for bus in trunk)], size)
    n_block = 1 + max(block.values())
    at_bus = np.array([block[bus] for bus in injection_buses])
    at_unit = np.array([block.get(bus, 0) for bus in unit_buses], dtype=np.intp)
    of_state = np.concatenate([at_bus, at_bus, at_unit, at_unit])
    held = {*trunk, topology.source.bus}
    ends = [(b.from_bus, b.to_bus) if isinstance(b, Line) else (b.hv_bus, b.lv_bus) for b in topology.branches]
    of_branch = np.array([-1 if {*pair} <= held else block[next(b for b in pair if b not in held)] for pair in ends])
    of_row = np.concatenate([of_branch, of_branch, [-1, -1]])
    by_block = [(np.flatnonzero(of_state == k), np.flatnonzero(of_row == k)) for k in range(n_block)]
    return Partition(tuple(s for s, _ in by_block), tuple(r for _, r in by_block), np.flatnonzero(of_row == -1))


def _fall_apart(topology: Topology, size: Mapping[str, float]) -> tuple[list[str], list[list[str]]]:
    """Buses that hold the network together (without the source), and the groups into which it falls without them.

    Every group hangs on the rest at one bus; a ring between two busbars therefore stays one group with both.
    """
    near: dict[str, set[str]] = {b.id: set() for b in topology.buses}
    for b in topology.branches:
        one, other = (b.from_bus, b.to_bus) if isinstance(b, Line) else (b.hv_bus, b.lv_bus)
        near[one].add(other)
        near[other].add(one)
    trunk, done = [topology.source.bus], []
    waiting = deque(_connected(set(near) - {*trunk}, near))
    while waiting:
        group = waiting.popleft()
        heads = [bus for bus in group if near[bus] & {*trunk}]
        if sum(size[bus] for bus in group) <= BLOCK_STATES or len(heads) != 1 or len(trunk) > TRUNK_MAX:
            done.append(group)
            continue
        trunk += heads
        waiting += _connected({*group} - {*heads}, near)
    return trunk[1:], done


def _connected(buses: set[str], near: Mapping[str, set[str]]) -> list[list[str]]:
    """Connected groups among ``buses``, in the order of the network."""
    groups, left = [], dict.fromkeys(bus for bus in near if bus in buses)
    while left:
        group, edge = [], [next(iter(left))]
        while edge:
            bus = edge.pop()
            if bus in left:
                del left[bus]
                group.append(bus)
                edge += [b for b in sorted(near[bus]) if b in left]
        groups.append(group)
    return groups


def _packed(groups: Sequence[Sequence[str]], size: Mapping[str, float]) -> dict[str, int]:
    """Block of every bus: whole groups in their order, a new block when the last one is full."""
    block: dict[str, int] = {}
    filled, k = 0.0, 0
    for group in groups:
        weight = sum(size[bus] for bus in group)
        if filled and filled + weight > BLOCK_STATES:
            filled, k = 0.0, k + 1
        filled += weight
        block |= dict.fromkeys(group, k)
    return block
