"""How a network falls into blocks: whole feeders, every state and row exactly once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from controller.domain.topology import Bus, Line, Source, Topology, Transformer
from controller.estimation.partition import BLOCK_STATES, Partition, partition


def topology(lines: list[tuple[str, str]]) -> Topology:
    """GRID ==T1 ∥ T2==> BB and lines between buses named in ``lines``."""
    names = dict.fromkeys(["GRID", "BB", *itertools.chain.from_iterable(lines)])
    trafos = tuple(
        Transformer(t, "GRID", "BB", 40e6, 110e3, 20e3, 0.12, 170e3, 0.001, 22e3, 40e6) for t in ("T1", "T2")
    )
    cables = tuple(Line(f"{a}-{b}", a, b, 0.1, 0.1, 0.0, 300.0) for a, b in lines)
    return Topology(50.0, Source("GRID", 3e9, 0.1), tuple(Bus(n, 20e3) for n in names), cables, trafos, ())


def feeders(count: int, length: int) -> list[tuple[str, str]]:
    """Chains of buses from BB."""
    chains = [["BB", *(f"F{f}.{k}" for k in range(length))] for f in range(count)]
    return [pair for chain in chains for pair in itertools.pairwise(chain)]


def parts(lines: list[tuple[str, str]], units_per_bus: int = 1) -> tuple[Partition, list[str], list[str], Topology]:
    made = topology(lines)
    buses = [b.id for b in made.buses if b.id != "GRID"]
    units = [b for b in buses for _ in range(units_per_bus)]
    return partition(made, buses, units), buses, units, made


def blocks_of_buses(part: Partition, buses: list[str]) -> dict[str, int]:
    return {bus: next(b for b, i in enumerate(part.states) if k in i) for k, bus in enumerate(buses)}


@pytest.mark.parametrize(("count", "length"), [(3, 4), (20, 10), (2, 60), (7, 13)])
def test_every_state_and_every_row_has_exactly_one_place(count: int, length: int) -> None:
    part, buses, units, made = parts(feeders(count, length))
    assert sorted(np.concatenate(part.states)) == list(range(2 * (len(buses) + len(units))))
    rows = np.concatenate([*part.rows, part.shared_rows])
    assert sorted(rows) == list(range(2 * len(made.branches) + 2))


def test_a_small_site_is_one_block_with_nothing_shared() -> None:
    part, buses, units, _ = parts(feeders(2, 10))
    assert 2 * (len(buses) + len(units)) <= BLOCK_STATES
    assert (len(part.states), len(part.shared_rows)) == (1, 0)


def test_a_feeder_is_never_cut_and_holds_the_rows_of_its_own_branches() -> None:
    part, buses, units, made = parts(feeders(20, 10))
    block = blocks_of_buses(part, buses)
    assert all(len(i) <= BLOCK_STATES for i in part.states)
    for f in range(20):
        assert len({block[f"F{f}.{k}"] for k in range(10)}) == 1
    nb = len(made.branches)
    for k, line in enumerate(made.lines):
        assert {k, nb + k} <= {*part.rows[block[line.to_bus]]}, line.id
    at_unit = {k: next(b for b, i in enumerate(part.states) if 2 * len(buses) + k in i) for k in range(len(units))}
    assert all(at_unit[k] == block[bus] for k, bus in enumerate(units))


def test_transformers_and_interface_are_shared_by_the_feeders_behind_them() -> None:
    part, _, _, made = parts(feeders(20, 10))
    nb, trafos = len(made.branches), [len(made.lines), len(made.lines) + 1]
    assert sorted(part.shared_rows) == sorted([*trafos, *(nb + t for t in trafos), 2 * nb, 2 * nb + 1])


def test_a_ring_between_two_ends_of_a_busbar_stays_whole() -> None:
    ring = [("BB", "A0"), *((f"A{k}", f"A{k + 1}") for k in range(39)), ("A39", "BB")]
    part, buses, _, _ = parts([*ring, *feeders(3, 10)])
    block = blocks_of_buses(part, buses)
    assert len({block[f"A{k}"] for k in range(40)}) == 1


def test_a_unit_at_the_source_bus_has_a_place() -> None:
    made = topology(feeders(12, 10))
    buses = [b.id for b in made.buses if b.id != "GRID"]
    part = partition(made, buses, ["GRID", *buses])
    assert 2 * len(buses) in np.concatenate(part.states)
