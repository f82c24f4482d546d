"""Holding what is reported against what is read: every point in turn, and nobody is accused who reports late."""

from __future__ import annotations

import asyncio
import math
import struct

import pytest

from drivers.opcua.session.binary import Reader
from drivers.opcua.session.cross_check import LOOKS_MAX, VALUES_MAX, CrossCheck, UnreportedError
from drivers.opcua.session.limits import ServerLimits
from drivers.opcua.session.services import Service
from drivers.opcua.values import NodeValue


def value(number: float) -> NodeValue:
    return NodeValue(0, "Good", "Double", number)


class Server:
    """Answers a Read with ``values`` by node; ``asked`` are the nodes of every request."""

    def __init__(self, count: int) -> None:
        self.nodes = {f"p{k}": struct.pack("<BBH", 1, 0, k) for k in range(count)}
        self.values = dict.fromkeys(self.nodes, 1.0)
        self.asked: list[list[str]] = []

    async def ask(self, _service: Service, parameters: bytes) -> Reader:
        names = [name for name, node in self.nodes.items() if node + struct.pack("<I", 13) in parameters]
        self.asked.append(names)
        results = b"".join(b"\x01\x0b" + struct.pack("<d", self.values[name]) for name in self.in_order(parameters))
        return Reader(struct.pack("<i", len(names)) + results + struct.pack("<i", 0))

    def in_order(self, parameters: bytes) -> list[str]:
        places = {parameters.find(node + struct.pack("<I", 13)): name for name, node in self.nodes.items()}
        return [places[place] for place in sorted(places) if place >= 0]


def looks(check: CrossCheck, server: Server, reported: dict[str, NodeValue], count: int) -> None:
    async def all_of_them() -> None:
        for _ in range(count):
            await check.look(server.ask, reported)

    asyncio.run(all_of_them())


@pytest.mark.parametrize(("count", "turns"), [(1, 1), (VALUES_MAX, 1), (VALUES_MAX + 1, 2), (1000, 5)])
def test_every_point_is_read_once_in_a_round(count: int, turns: int) -> None:
    server = Server(count)
    reported = {name: value(1.0) for name in server.nodes}
    looks(CrossCheck(server.nodes, ServerLimits()), server, reported, turns)
    assert [name for asked in server.asked for name in asked] == list(server.nodes)
    assert max(map(len, server.asked)) <= VALUES_MAX


def test_a_point_that_stands_otherwise_than_it_reads_is_told_in_the_last_of_four_looks() -> None:
    server = Server(1000)
    reported = {name: value(1.0) for name in server.nodes}
    check = CrossCheck(server.nodes, ServerLimits())
    server.values["p7"] = 2.0
    looks(check, server, reported, LOOKS_MAX - 1)
    assert all("p7" in asked for asked in server.asked), "a suspect is read again at every look"
    with pytest.raises(UnreportedError, match=r"p7 reads otherwise than the server reported it last \(1.0\)"):
        looks(check, server, reported, 1)


def test_a_report_in_between_ends_the_doubt_even_if_it_is_late_again() -> None:
    server = Server(3)
    reported = {name: value(1.0) for name in server.nodes}
    check = CrossCheck(server.nodes, ServerLimits())
    for turn in range(3 * LOOKS_MAX):
        server.values["p1"] = 2.0 + turn
        if turn % (LOOKS_MAX - 1) == 0:
            reported["p1"] = value(1.0 + turn)
        looks(check, server, reported, 1)


def test_what_reads_as_it_was_reported_is_never_in_doubt() -> None:
    server = Server(2)
    server.values["p0"] = math.nan
    reported = {"p0": value(math.nan), "p1": value(1.0)}
    looks(CrossCheck(server.nodes, ServerLimits()), server, reported, 3 * LOOKS_MAX)


def test_a_point_without_a_report_is_not_asked_for() -> None:
    server = Server(2)
    looks(CrossCheck(server.nodes, ServerLimits()), server, {}, 2)
    assert server.asked == []
