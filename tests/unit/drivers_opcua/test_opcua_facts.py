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
        self.first = 0

    async def ask(self, service: Service, parameters: bytes) -> Reader:
        items = [item for item in (*ATTRIBUTES, *PATHS) if item in parameters]
        self.asked.append((service.name, len(items)))
        self.first += ATTRIBUTES[0] in items
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


def rounds(server: Server, times: int, limits: ServerLimits | None = None) -> list[bool]:
    facts = Facts(FACTS, limits or ServerLimits(reads=2, paths=2))

    async def ask() -> list[bool]:
        return [await facts.still_hold(server.ask) for _ in range(times)]

    return asyncio.run(ask())


def test_all_facts_are_asked_some_at_every_look_and_then_again_and_the_first_always() -> None:
    server = Server()
    assert all(rounds(server, 3))
    looks = [("read", 2), ("browse", 2)], [("read", 2), ("browse", 1)], [("read", 2), ("browse", 2)]
    assert server.asked == [asked for look in looks for asked in look]
    assert server.first == 3


def test_a_server_that_takes_one_attribute_in_a_call_is_asked_for_all_of_them_too() -> None:
    server = Server()
    server.changed.add(ATTRIBUTES[2])
    assert rounds(server, 3, ServerLimits(reads=1, paths=1)) == [True, True, False]


def test_an_attribute_that_reads_otherwise_and_a_path_that_leads_elsewhere_are_found_in_one_round() -> None:
    for item in (ATTRIBUTES[2], PATHS[1]):
        server = Server()
        server.changed.add(item)
        assert rounds(server, 2).count(False) == 1


def test_what_moved_with_its_object_is_found_at_the_first_look_at_that_object() -> None:
    """Two meters with a hundred points each: whoever changes them about changes what is first in both."""
    asked: list[int] = []

    async def ask(_service: Service, parameters: bytes) -> Reader:
        paths = [number for number in range(200) if b"|%d|" % number in parameters]
        asked.extend(paths)
        return Reader(array([_at(number) for number in paths]) + struct.pack("<i", -1))

    meters = [("M1",)] * 100 + [("M2",)] * 100
    facts = [Fact(TRANSLATE, b"|%d|" % number, _node(number), under) for number, under in enumerate(meters)]
    assert asyncio.run(Facts(facts, ServerLimits(paths=2)).still_hold(ask))
    assert asked == [0, 100]


def _node(number: int) -> bytes:
    return numeric_id(1000 + number, 2)


def _at(number: int) -> bytes:
    return struct.pack("<Ii", 0, 1) + _node(number) + struct.pack("<I", WHOLE_PATH)


def test_nothing_is_asked_where_nothing_was_found() -> None:
    server = Server()
    assert asyncio.run(Facts((), ServerLimits()).still_hold(server.ask))
    assert server.asked == []
