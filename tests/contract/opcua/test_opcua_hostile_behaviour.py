"""OPC UA servers whose every message is well formed and whose behaviour over time is not."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from asyncua import ua
from hostile_opcua_server import TRUE, URI, HostileServer, opcua_device, shown
from test_opcua_hostile_rows import DELIVERIES, ERROR, HEAD_END, TIMEOUT_S, good, poll, put, reasons

from drivers.opcua.session import points as points_module

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]


async def test_a_server_that_answers_at_once_does_not_decide_how_busy_we_are(server: HostileServer) -> None:
    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await good(device)
    server.publishing_s, asked, started_s = 0.0, server.publishes, time.monotonic()
    try:
        await asyncio.sleep(0.4)
        assert server.publishes - asked <= (time.monotonic() - started_s) / 0.01 + 2.0, "ten times as often as wished"
        await good(device)
    finally:
        server.publishing_s = 0.02
    await device.aclose()


async def test_values_of_which_more_are_promised_for_ever_grow_old(server: HostileServer) -> None:
    def more_to_come(service: str, chunk: bytes) -> bytes:
        return put(chunk, HEAD_END + 8, b"\x01") if service == "Publish" else chunk

    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await good(device)
    server.tamper = more_to_come
    await asyncio.sleep(0.1)
    first = (await poll(device))["p_w"].measured_at_s
    await asyncio.sleep(0.2)
    assert (await poll(device))["p_w"].measured_at_s == first
    await device.aclose()


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0], ids=["on", "back"])
async def test_a_clock_that_is_set_costs_a_sample_and_no_value(
    server: HostileServer, delivery: str, ahead_s: float
) -> None:
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    for ahead in (ahead_s, 0.0):
        for _ in range(8):
            server.values = {name: shown(value, ahead_s=ahead) for name, value in TRUE.items()}
            await asyncio.sleep(0.05)
            points = await poll(device)
        assert all(point.usable for point in points.values()), points["p_w"].reason
    assert device.counts()["connects"] == 1
    await device.aclose()


async def test_a_channel_that_is_not_renewed_is_made_anew(server: HostileServer) -> None:
    refused = ERROR.replace(b"over", b"none")
    for refusal in (lambda _c: refused, lambda _c: b"", lambda _c: None, lambda c: c[:-5]):
        device = opcua_device(server.port, "read", TIMEOUT_S)
        await good(device)
        session = device._link._session
        assert session is not None
        session._renew_at_s = 0.0
        server.tamper = lambda service, chunk, refusal=refusal: (  # type: ignore[misc]
            refusal(chunk) if service == "OpenSecureChannel" else chunk
        )
        await poll(device)
        server.reset()
        await good(device)
        await device.aclose()


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_channel_is_renewed_with_a_server_whose_clock_stands_at_1970(
    server: HostileServer, delivery: str
) -> None:
    server.token_made_utc = datetime(1970, 1, 2, tzinfo=UTC)
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    session = device._link._session
    assert session is not None
    by_the_old_token = [True, True]  # until the channel is renewed, and what was on its way then

    def secured(service: str, chunk: bytes) -> bytes:
        if service == "OpenSecureChannel":
            by_the_old_token.pop()
        elif by_the_old_token:
            if service in ("Read", "Publish") and len(by_the_old_token) == 1:
                by_the_old_token.pop()
            return put(chunk, 12, struct.pack("<I", 6))
        return chunk

    server.token, server.tamper = 7, secured
    session._renew_at_s = 0.0
    for _ in range(10):
        points = await poll(device)
        assert all(point.usable for point in points.values()), points["p_w"].reason
        await asyncio.sleep(0.02)
    assert not by_the_old_token
    assert device.counts()["connects"] == 1
    await device.aclose()


@pytest.mark.parametrize("granted_ms", [0, 1, 9_000])
async def test_a_server_does_not_decide_how_often_a_channel_is_renewed(server: HostileServer, granted_ms: int) -> None:
    server.token_ms = granted_ms
    device = opcua_device(server.port, "read", TIMEOUT_S)
    await reasons(device, f"server grants a channel for {granted_ms / 1000.0:g} s")
    server.reset()
    await good(device)
    session = device._link._session
    assert session is not None
    server.token_ms = 0xFFFF_FFFF
    session._renew_at_s = 0.0
    await good(device)
    assert session._renew_at_s <= session._loop_s() + 1800.0, "and not how seldom"
    server.reset()
    await device.aclose()


async def test_a_point_that_comes_back_as_another_type_is_bad_and_says_so(server: HostileServer) -> None:
    for delivery in DELIVERIES:
        device = opcua_device(server.port, delivery, TIMEOUT_S)
        await good(device)
        server.types["p_w"] = 10  # Float
        server.values["p_w"] = shown(51.0, 0, ua.VariantType.Float)
        server.cut_everyone()
        await reasons(device, "has DataType Float; expected Double")
        assert (await poll(device))["u_v"].usable
        server.reset()
        server.cut_everyone()
        await good(device)
        await device.aclose()


async def test_a_node_that_vanishes_is_bad_and_is_found_where_it_comes_back(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points_module, "RESOLVE_AGAIN_S", 0.05)
    device = opcua_device(server.port, "read", TIMEOUT_S)
    await good(device)
    gone = server.numbers.pop("p_w")
    await reasons(device, "BadNodeIdUnknown")
    assert (await poll(device))["u_v"].usable
    await reasons(device, "p_w is not on the server")
    server.numbers["p_w"] = gone + 100
    await good(device)
    assert device.counts()["connects"] == 1
    await device.aclose()


def renumbered(server: HostileServer) -> None:
    names = list(server.numbers)
    server.numbers = dict(zip(names, reversed(list(server.numbers.values())), strict=True))


def others_have_come(server: HostileServer) -> None:
    server.namespaces = ["http://opcfoundation.org/UA/", "urn:maker:new", "urn:maker:a", URI]


def of_another_type(server: HostileServer) -> None:
    server.types["p_w"] = 10  # Float


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_nodes_that_are_renumbered_while_the_connection_stands_never_give_another_quantity(
    server: HostileServer, delivery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if delivery == "subscription":
        monkeypatch.setattr(points_module, "CHECK_S", 0.05)
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    renumbered(server)
    for _ in range(10):
        await poll(device)
        await asyncio.sleep(0.02)
    await good(device)
    assert (device.counts()["connects"] == 2) == (delivery == "subscription"), "a subscription is made anew"
    await device.aclose()


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (others_have_come, "p_w is called \\(2, 'p_w'\\)|p_w is not on the server"),
        (of_another_type, "has DataType Float; expected Double"),
    ],
    ids=["namespaces", "type"],
)
async def test_what_a_point_rests_on_is_looked_at_again_while_the_connection_stands(
    server: HostileServer,
    delivery: str,
    change: Callable[[HostileServer], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(points_module, "CHECK_S", 0.05)
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    change(server)
    await reasons(device, reason.replace("\\", ""))
    server.reset()
    server.cut_everyone()
    await good(device)
    await device.aclose()


@pytest.mark.parametrize("flag", [0x4000, 0x8000], ids=["meaning", "shape"])
async def test_a_value_that_is_said_to_have_changed_in_meaning_is_not_good_before_it_was_looked_at(
    server: HostileServer, flag: int
) -> None:
    for delivery in DELIVERIES:
        device = opcua_device(server.port, delivery, TIMEOUT_S)
        await good(device)
        server.values["p_w"] = shown(51.0, flag)
        await reasons(device, "have changed")
        server.reset()
        await good(device)
        await device.aclose()


@pytest.mark.parametrize("most", [1, 3, 5])
@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_server_that_takes_less_in_a_call_than_it_tells_is_asked_for_less(
    server: HostileServer, delivery: str, most: int
) -> None:
    server.most = most
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    for _ in range(3):
        await good(device)
    assert device.counts()["connects"] == 1
    await device.aclose()
    server.most = 0
    insisting = opcua_device(server.port, delivery, TIMEOUT_S)
    await reasons(insisting, "BadTooManyOperations")
    await insisting.aclose()
