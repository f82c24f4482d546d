"""What points rest on is asked again round and round, as much at a time as the server takes."""

from __future__ import annotations

import asyncio
import struct

from asyncua.ua import DataValue, Int32, Variant
from asyncua.ua.ua_binary import struct_to_binary

from drivers.opcua.session.binary import Reader, array, numeric_id
from drivers.opcua.session.facts import Fact, Facts
from drivers.opcua.session.limits import ServerLimits
from drivers.opcua.session.services import READ, TRANSLATE, WHOLE_PATH, Service, read_value_id

NODES = [numeric_id(number, 2) for number in (10, 11, 12)]


class Server:
    """Answers for attributes and paths that the facts name; what is in ``changed`` reads otherwise."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.changed: set[bytes] = set()

    async def ask(self, service: Service, parameters: bytes) -> Reader:
        items = [item for item in (*ATTRIBUTES, *PATHS) if item in parameters]
        self.asked.append((service.name, len(items)))
        answer = self._value if service == READ else self._target
        return Reader(array([answer(item) for item in items]) + struct.pack("<i", -1))

    def _value(self, item: bytes) -> bytes:
        number = ATTRIBUTES.index(item) + 100 * (item in self.changed)
        return struct_to_binary(DataValue(Variant(Int32(number))))

    def _target(self, item: bytes) -> bytes:
        node = NODES[PATHS.index(item) - 1 if item in self.changed else PATHS.index(item)]
        return struct.pack("<Ii", 0, 1) + node + struct.pack("<I", WHOLE_PATH)


ATTRIBUTES = [read_value_id(node) for node in NODES]
PATHS = [f"path {number}".encode() for number in range(3)]
FACTS = [Fact(READ, item, at) for at, item in enumerate(ATTRIBUTES)]
FACTS += [Fact(TRANSLATE, item, node) for item, node in zip(PATHS, NODES, strict=True)]


def rounds(server: Server, times: int) -> list[bool]:
    facts = Facts(FACTS, ServerLimits(reads=2, paths=2))

    async def ask() -> list[bool]:
        return [await facts.still_hold(server.ask) for _ in range(times)]

    return asyncio.run(ask())


def test_all_facts_are_asked_one_batch_after_the_other_and_then_again() -> None:
    server = Server()
    assert all(rounds(server, 5))
    assert server.asked == [("read", 2), ("read", 1), ("browse", 2), ("browse", 1), ("read", 2)]


def test_an_attribute_that_reads_otherwise_and_a_path_that_leads_elsewhere_are_found_in_one_round() -> None:
    for item in (ATTRIBUTES[2], PATHS[1]):
        server = Server()
        server.changed.add(item)
        assert rounds(server, 4).count(False) == 1


def test_nothing_is_asked_where_nothing_was_found() -> None:
    server = Server()
    assert asyncio.run(Facts((), ServerLimits()).still_hold(server.ask))
    assert server.asked == []
