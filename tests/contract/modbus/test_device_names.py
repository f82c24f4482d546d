"""Devices that are named and not numbered, and name services that are slow, dead or wrong."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hostile_peer import on_socket

from controller.clock import SystemClock
from controller.domain.site import Device
from drivers.modbus.connect import Connector
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import LinkError
from drivers.names import addresses
from drivers.opcua.device import OpcUaDevice
from drivers.profile_loader import load_profile

pytestmark = pytest.mark.socket


class NameService:
    """Knows ``meter``; whatever begins with ``slow`` is answered only when the test says so."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answer = threading.Event()

    def __call__(self, host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        self.asked[host] += 1
        if host.startswith("slow"):
            self.answer.wait(20.0)
        elif host != "meter":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameService]:
    service = NameService()
    monkeypatch.setattr(socket, "getaddrinfo", service)
    yield service
    service.answer.set()


async def connect(host: str, port: int, within_s: float) -> None:
    link = await Connector(Endpoint(host, port), 1.0).connect(asyncio.get_running_loop().time() + within_s)
    link.abort(LinkError("done", "closed"))


async def test_a_dead_name_service_takes_one_thread_for_a_name_and_nothing_from_the_others(names: NameService) -> None:
    async with on_socket([]) as peer:
        port = Endpoint.parse(peer.endpoint).port
        slow = [f"slow-{number}" for number in range(40)]
        for _ in range(3):
            attempts = [connect(host, port, 0.05) for host in slow]
            found = await asyncio.gather(*attempts, return_exceptions=True)
            assert all(isinstance(fault, LinkError) and fault.reason == "timeout" for fault in found)
            await connect("meter", port, 1.0)
        assert all(names.asked[host] == 1 for host in slow), "nobody asks again while nobody has answered"
        names.answer.set()


async def test_an_answer_that_comes_too_late_serves_the_next_attempt(names: NameService) -> None:
    async with on_socket([]) as peer:
        port = Endpoint.parse(peer.endpoint).port
        with pytest.raises(LinkError, match="within the time-out"):
            await connect("slow", port, 0.05)
        names.answer.set()
        await addresses("slow", port)
        names.answer.clear()
        await connect("slow", port, 0.5)
        assert names.asked["slow"] == 1


@pytest.mark.parametrize("host", ["nobody", "a..b", "m" * 64, "zähler\0", ".", "1.2.3.4.5"])
async def test_a_name_that_leads_nowhere_is_a_fault_of_the_field_and_asked_for_again(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Callable[..., object] = socket.getaddrinfo

    def numbers_only(name: str, port: int, **more: object) -> object:
        name.encode("idna")
        return told(name, port, **{**more, "flags": socket.AI_NUMERICHOST})

    monkeypatch.setattr(socket, "getaddrinfo", numbers_only)
    for _ in range(2):
        with pytest.raises(LinkError, match="no connection to") as fault:
            await connect(host, 502, 2.0)
        assert fault.value.reason == "refused"


async def test_an_opc_ua_server_with_a_name_that_is_not_known_is_missing_in_time(names: NameService) -> None:
    for host in ("slow", "nobody", "meter"):
        endpoint = f"opc.tcp://{host}:1/"
        device = Device("D", "opcua", endpoint, 1, "opcua_transformer", {}, None, 0.1, 3.0, 0.25, {}, "auto")
        link = OpcUaDevice(device, load_profile("opcua_transformer"), SystemClock())
        began = asyncio.get_running_loop().time()
        points = await link.poll()
        assert asyncio.get_running_loop().time() - began < 1.0
        assert not any(point.usable for point in points.values())
        await link.aclose()
    names.answer.set()
