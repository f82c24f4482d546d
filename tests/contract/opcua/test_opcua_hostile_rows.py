"""Hostile OPC UA servers, one row each: no wrong value is good, no wait is longer than allowed, and all is well after.

Every row is played against batch reads and against a subscription. While it lasts, whatever the driver calls good must
be what the server's world really is; each poll ends in time; the reason is told. Then the server is honest again.
"""

from __future__ import annotations

import asyncio
import math
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from asyncua import ua
from hostile_opcua_server import TRUE, Drip, HostileServer, Last, Tamper, opcua_device, shown

from controller.domain.command import OutcomeState
from controller.domain.measurement import Measurement, Quality
from drivers.opcua.device import OpcUaDevice

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]

TIMEOUT_S = 0.2
POLL_S_MAX = TIMEOUT_S + 0.5  # the rest is for a busy machine
HOT = ("Read", "Publish")
HEAD_END = 52  # where the service's own fields begin: chunk 24, type 4, response header 24
DELIVERIES = ("read", "subscription")


def put(chunk: bytes, at: int, patch: bytes) -> bytes:
    return chunk[:at] + patch + chunk[at + len(patch) :]


def resized(chunk: bytes) -> bytes:
    return put(chunk, 4, struct.pack("<I", len(chunk)))


def more(chunk: bytes, at: int, step: int) -> bytes:
    (number,) = struct.unpack_from("<I", chunk, at)
    return put(chunk, at, struct.pack("<I", (number + step) & 0xFFFF_FFFF))


def counted(chunk: bytes, service: str, count: int) -> bytes:
    """Another number of results (read) or notifications (publish)."""
    return put(chunk, HEAD_END if service == "Read" else HEAD_END + 21, struct.pack("<i", count))


def endless(chunk: bytes) -> bytes:
    (sequence,) = struct.unpack_from("<I", chunk, 16)
    part = put(resized(chunk + bytes(60_000 - len(chunk))), 3, b"C")
    return b"".join(put(part, 16, struct.pack("<I", sequence + at)) for at in range(40))


async def late(chunk: bytes) -> bytes:
    await asyncio.sleep(2.0 * TIMEOUT_S)
    return chunk


def on(change: Callable[[bytes], object]) -> Tamper:
    """Tamper with values only, not with what leads to them."""
    return on_either(lambda _service, chunk: change(chunk))


def on_either(change: Callable[[str, bytes], object]) -> Tamper:
    """The same, for what differs between a read and a message of a subscription."""
    return lambda service, chunk: change(service, chunk) if service in HOT else chunk  # type: ignore[return-value]


NOISE = random.Random(20_261_122)
ERROR = b"ERRF" + struct.pack("<IIi", 16 + 4, 0x80AB_0000, 4) + b"over"
FIELDS = b"MSGF" + struct.pack("<I", 0x7FFF_FFFF)

TAMPERED: dict[str, tuple[Tamper, str]] = {
    "silence": (on(lambda _c: b""), ""),
    "an answer too late": (on(late), ""),
    "garbage": (on(lambda c: NOISE.randbytes(len(c))), "expected OPC UA"),
    "half a message": (on(lambda c: c[: len(c) // 2]), ""),
    "half a message and the end": (on(lambda c: Last(c[: len(c) // 2])), "connection"),
    "the end": (on(lambda _c: None), "connection"),
    "drip": (on(Drip), ""),
    "two answers to one request": (on(lambda c: c + more(c, 16, 1)), "which nobody waits for"),
    "the answer to another request": (on(lambda c: more(c, 20, 7)), "which nobody waits for"),
    "the handle of another request": (on(lambda c: more(c, 36, 1)), "the answer to another request"),
    "a sequence number left out": (on(lambda c: more(c, 16, 1)), "sequence"),
    "another channel": (on(lambda c: more(c, 8, 1)), "channel"),
    "another token": (on(lambda c: more(c, 12, 5)), "token"),
    "another service": (on(lambda c: put(c, 26, struct.pack("<H", 676))), "the answer to another request"),
    "a service fault": (on(lambda c: more(c, 40, 0x8001_0000)), "BadUnexpectedError"),
    "an error message": (on(lambda _c: ERROR), "server says"),
    "fewer results": (on_either(lambda s, c: counted(c, s, 1) if s == "Read" else more(c, HEAD_END, 1)), "expected"),
    "2 GiB of results": (on_either(lambda s, c: counted(c, s, 0x7FFF_FFFF)), "2147483647"),
    "less than no results": (on_either(lambda s, c: counted(c, s, -7)), "-7"),
    "a message of 2 GiB": (on(lambda _c: FIELDS + bytes(100_000)), "announced a chunk of 2147483647"),
    "a message of 5 bytes": (on(lambda c: put(c, 4, struct.pack("<I", 5))), "announced a chunk of 5"),
    "endless chunks": (on(endless), "TooLarge"),
    "an answer broken off": (on(lambda c: put(c, 3, b"A")), "broke off"),
    "a chunk of no kind": (on(lambda c: put(c, 3, b"X")), "expected OPC UA"),
    "diagnostics without end": (on(lambda c: resized(c[:44] + b"\x40" * 50_000)), "without end"),
    "a header on top": (on(lambda c: put(c, 50, b"\x05")), "additional header"),
    "an answer that ends early": (on(lambda c: resized(c[:-30])), "error"),
    "the session is not known": (on(lambda c: more(c, 40, 0x8025_0000)), "BadSessionIdInvalid"),
    "the channel is not known": (on(lambda c: more(c, 40, 0x8022_0000)), "BadSecureChannelIdInvalid"),
    "too busy": (on(lambda c: more(c, 40, 0x8010_0000)), "BadTcpServerTooBusy|BadTooManyPublishRequests|server says"),
    "a huge text in the header": (on(lambda c: resized(c[:45] + struct.pack("<ii", 1, 0x7FFF_FFFF) + c[49:])), ""),
    "a thousand texts in the header": (
        on(lambda c: resized(c[:45] + struct.pack("<i", 1000) + bytes(4000))),
        "strings",
    ),
    "an answer twice as long": (on(lambda c: resized(c + c[24:])), "bytes follow the answer"),
    "an answer of zeros": (on(lambda c: put(c, 24, bytes(len(c) - 24))), ""),
}


@dataclass(frozen=True)
class Shown:
    """A row about one value: what is shown for p_w, and why it is not good."""

    value: ua.DataValue
    quality: Quality
    reason: str


VALUES = {
    "bad": Shown(ua.DataValue(StatusCode=ua.StatusCode(0x808C_0000)), Quality.BAD, "BadSensorFailure"),
    "bad with a value": Shown(shown(51.0, 0x808C_0000), Quality.BAD, "BadSensorFailure"),
    "uncertain": Shown(shown(51.0, 0x4090_0000), Quality.UNCERTAIN, "UncertainLastUsableValue"),
    "reserved severity": Shown(shown(51.0, 0xC000_0000), Quality.BAD, "server says"),
    "waiting": Shown(ua.DataValue(StatusCode=ua.StatusCode(0x8032_0000)), Quality.BAD, "BadWaitingForInitialData"),
    "NaN": Shown(shown(math.nan), Quality.BAD, "expected a finite number"),
    "infinite": Shown(shown(math.inf), Quality.BAD, "expected a finite number"),
    "a smaller type": Shown(shown(51.0, 0, ua.VariantType.Float), Quality.BAD, "expected Double"),
    "a text": Shown(ua.DataValue(ua.Variant("51", ua.VariantType.String)), Quality.BAD, "expected Double"),
    "an array": Shown(ua.DataValue(ua.Variant([51.0], ua.VariantType.Double)), Quality.BAD, "expected Double"),
    "a long text": Shown(ua.DataValue(ua.Variant("x" * 50_000, ua.VariantType.String)), Quality.BAD, "expected Double"),
    "older than what was known": Shown(shown(51.0, ahead_s=-7200.0), Quality.UNCERTAIN, "source time went back by"),
    "put in by hand": Shown(shown(51.0, 0x0096_0000), Quality.UNCERTAIN, "GoodLocalOverride"),
    "at the end of its sensor": Shown(shown(51.0, 0x0600), Quality.UNCERTAIN, "the high end of what can be measured"),
    "a whole number": Shown(shown(51, 0, ua.VariantType.Int64), Quality.BAD, "expected Double"),
    "a yes": Shown(shown(True, 0, ua.VariantType.Boolean), Quality.BAD, "expected Double"),
    "nothing, with a time": Shown(ua.DataValue(SourceTimestamp=datetime.now(UTC)), Quality.BAD, "expected Double"),
    "nothing": Shown(ua.DataValue(ua.Variant()), Quality.BAD, "expected Double"),
}


async def good(device: OpcUaDevice, within_s: float = 4.0) -> Mapping[str, Measurement]:
    """Polls until everything is good; fails with the last reason."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while True:
        points = await poll(device)
        if all(point.usable for point in points.values()):
            return points
        assert loop.time() < until_s, points["p_w"].reason
        await asyncio.sleep(0.02)


async def poll(device: OpcUaDevice) -> Mapping[str, Measurement]:
    """One poll: in time, and nothing called good that is not true."""
    started_s = time.monotonic()
    points = await device.poll()
    assert time.monotonic() - started_s < POLL_S_MAX
    for name, true in TRUE.items():
        assert not points[name].usable or points[name].value == true, (name, points[name])
    return points


async def reasons(device: OpcUaDevice, wanted: str, within_s: float = 4.0) -> str:
    """Polls until ``p_w`` is not good for a reason that matches; what was said on the way."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    said: dict[str, None] = {}
    while loop.time() < until_s:
        point = (await poll(device))["p_w"]
        if not point.usable:
            said[point.reason] = None
            if any(part in point.reason for part in wanted.split("|")):
                return point.reason
        await asyncio.sleep(0.02)
    raise AssertionError(f"expected {wanted!r} among {list(said)}")


async def one_connection(server: HostileServer) -> None:
    """Whatever was given up is closed, as soon as the server looks."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 2.0
    while server.open > 1:
        assert loop.time() < until_s, f"{server.open} connections"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("row", TAMPERED, ids=list(TAMPERED))
async def test_a_lying_connection_ends_and_nothing_wrong_is_good(
    server: HostileServer, row: str, delivery: str
) -> None:
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    faults = device.counts()["faults"]
    server.tamper, reason = TAMPERED[row]
    await reasons(device, reason)
    assert device.counts()["faults"] > faults
    server.reset()
    await good(device)
    await one_connection(server)
    await device.aclose()


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("row", VALUES, ids=list(VALUES))
async def test_a_doubtful_value_is_not_good_and_the_others_are(server: HostileServer, row: str, delivery: str) -> None:
    device = opcua_device(server.port, delivery, TIMEOUT_S)
    await good(device)
    server.values["p_w"] = VALUES[row].value
    await reasons(device, VALUES[row].reason)
    points = await poll(device)
    assert points["p_w"].quality is VALUES[row].quality
    assert points["u_v"].usable
    assert device.counts()["connects"] == 1
    server.reset()
    await good(device)
    await device.aclose()


@pytest.mark.parametrize("step", [1, -1], ids=["lost", "come twice"])
async def test_a_message_of_a_subscription_that_is_out_of_turn_ends_the_session(
    server: HostileServer, step: int
) -> None:
    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await good(device)
    server.next_sequence += step
    server.values["u_v"] = shown(TRUE["u_v"])
    await reasons(device, "values were lost")
    await good(device)
    assert device.counts()["connects"] == 2
    await device.aclose()


async def test_messages_that_somebody_holds_back_end_the_session(server: HostileServer) -> None:
    def older(service: str, chunk: bytes) -> bytes:
        (made,) = struct.unpack_from("<q", chunk, HEAD_END + 13)
        return put(chunk, HEAD_END + 13, struct.pack("<q", made - 50_000_000)) if service == "Publish" else chunk

    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    await good(device)
    server.tamper = older
    await reasons(device, "messages come 5.0 s late")
    await device.aclose()


async def test_a_steady_value_is_as_young_as_the_last_sign_of_life(server: HostileServer) -> None:
    device = opcua_device(server.port, "subscription", TIMEOUT_S)
    first = (await good(device))["p_w"].measured_at_s
    await asyncio.sleep(0.2)
    second = (await poll(device))["p_w"].measured_at_s
    assert second > first + 0.1
    server.tamper = on(lambda _chunk: b"")
    await asyncio.sleep(0.2)
    assert (await poll(device))["p_w"].measured_at_s < second + 0.1
    await device.aclose()


@pytest.mark.parametrize(("publishing_s", "keep_alive_count"), [(5.0, 1), (0.02, 1000), (math.nan, 1), (0.0, 0)])
async def test_a_subscription_that_the_server_makes_too_slow_is_not_used(
    server: HostileServer, publishing_s: float, keep_alive_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "publishing_s", publishing_s)
    monkeypatch.setattr(server, "keep_alive_count", keep_alive_count)
    insisting = opcua_device(server.port, "subscription", TIMEOUT_S)
    await reasons(insisting, "subscribe: server")
    await insisting.aclose()


async def test_nodes_that_were_renumbered_while_the_server_was_away_are_found_anew(server: HostileServer) -> None:
    for delivery in DELIVERIES:
        device = opcua_device(server.port, delivery, TIMEOUT_S)
        await good(device)
        names = list(server.numbers)
        server.numbers = dict(zip(names, reversed(list(server.numbers.values())), strict=True))
        server.cut_everyone()
        await good(device)
        await device.aclose()


async def test_a_connection_that_breaks_at_any_byte_of_its_making_is_made_again(server: HostileServer) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    places = ["Hello", "OpenSecureChannel", "CreateSession", "ActivateSession", "TranslateBrowsePathsToNodeIds"]
    places += ["Read", "CreateSubscription", "CreateMonitoredItems", "Publish"]
    for place in places:
        kind = chance.choice((Last, bytes))

        def broken(service: str, chunk: bytes, place: str = place, kind: type[bytes] = kind) -> bytes:
            return kind(chunk[: chance.randrange(len(chunk))]) if service == place else chunk

        device = opcua_device(server.port, "subscription", TIMEOUT_S)
        server.tamper = broken
        await reasons(device, "")
        server.reset()
        await good(device)
        await device.aclose()


async def test_a_write_that_is_acknowledged_and_not_done_is_seen_in_the_read_back(server: HostileServer) -> None:
    for delivery in DELIVERIES:
        device = opcua_device(server.port, delivery, TIMEOUT_S)
        await good(device)
        server.obeys = False
        outcome = await device.write({"generation_w_max": 500.0}, 60.0, {})
        assert outcome.state is OutcomeState.ACKNOWLEDGED
        assert server.writes[-1] == ("limit_w", 500.0)
        assert (await poll(device))["p_set_w"].value == -900.0
        await device.aclose()


async def test_memory_stays_flat_under_endless_chunks_and_announcements(server: HostileServer) -> None:
    device = opcua_device(server.port, "read", TIMEOUT_S)
    await good(device)
    tracemalloc.start()
    try:
        for row in ("endless chunks", "a message of 2 GiB", "2 GiB of results") * 4:
            server.tamper = TAMPERED[row][0]
            await reasons(device, TAMPERED[row][1])
            server.reset()
            await good(device)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 12 << 20  # of which the server's own endless chunks are 5 MB
    await device.aclose()
