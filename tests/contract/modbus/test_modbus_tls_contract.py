"""Modbus/TCP Security: both sides prove who they are, and nobody else is spoken to."""

from __future__ import annotations

import asyncio
import random
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hostile_peer import on_socket
from hostile_table import registers
from modbus_certificates import ROLE_OID, Authority
from structlog.testing import capture_logs

from controller.clock import SystemClock
from drivers.modbus.codec import read_registers
from drivers.modbus.connect import Connector
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import LinkError
from drivers.modbus.session import Session
from drivers.modbus.tls import CURVES
from drivers.modbus.unit_health import Backoff

pytestmark = pytest.mark.socket


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def impostors(tmp_path: Path) -> Authority:
    folder = tmp_path / "impostors"
    folder.mkdir()
    return Authority(folder, "impostors")


@asynccontextmanager
async def session_to(endpoint: str, options: dict[str, str]) -> AsyncIterator[Session]:
    where, clock = Endpoint.parse(endpoint), SystemClock()
    session = Session(
        where,
        clock.now_s,
        backoff=Backoff(0.001, 0.001),
        rng=random.Random(1),
        connector=Connector(where, 1.0, options, clock.utc),
    )
    try:
        yield session
    finally:
        await session.aclose()


async def read(endpoint: str, options: dict[str, str]) -> bytes:
    async with session_to(endpoint, options) as session:
        return (await session.request(read_registers(1, 3, 100, 2), asyncio.get_running_loop().time() + 2.0)).data


@asynccontextmanager
async def openssl_server(authority: Authority, *wish: str) -> AsyncIterator[tuple[str, asyncio.StreamWriter]]:
    """Endpoint of a server that does as the command line tool is told, and where it takes commands."""
    certificate, key = authority.issue("device")
    server = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, *wish),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        line = b""
        while not line.startswith(b"ACCEPT"):
            line = await asyncio.wait_for(server.stdout.readline(), 5.0)
        yield f"modbus+tls://127.0.0.1:{int(line.rpartition(b':')[2])}", server.stdin
    finally:
        server.kill()
        await server.communicate()


async def test_a_device_that_both_sides_trust_is_read_and_learns_our_role(authority: Authority) -> None:
    seen: list[bytes] = []
    context = authority.server_context("device")
    options = authority.options(role=b"\x0c\x08operator")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        frame = await reader.readexactly(12)
        writer.write(frame[:5] + b"\x07\x01\x03\x04" + registers(100, 2))
        await writer.drain()
        await reader.read()
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    assert await read(f"modbus+tls://127.0.0.1:{port}", options) == registers(100, 2)
    role = x509.load_der_x509_certificate(seen[0]).extensions.get_extension_for_oid(ROLE_OID).value
    assert isinstance(role, x509.UnrecognizedExtension)
    assert role.value == b"\x0c\x08operator"
    listener.close()
    await listener.wait_closed()


async def test_a_pinned_certificate_needs_no_authority_and_no_name(authority: Authority) -> None:
    async with on_socket([], authority.server_context("device", host="10.9.8.7")) as peer:
        options = authority.options()
        del options["ca_file"]
        options["server_certificate_file"] = str(authority.folder / "device.pem")
        assert await read(peer.endpoint, options) == registers(100, 2)


REFUSED = {
    "an impostor's certificate": "certificate is refused",
    "a certificate for another host": "certificate is refused: IP address mismatch",
    "an expired certificate": "certificate has expired",
    "another certificate than the pinned one": "proved another certificate",
    "no TLS at all": "TLS: ",
    "a TLS that is too old": "TLS: |the other side broke it off",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_whoever_is_not_the_device_gets_no_request(what: str, authority: Authority, impostors: Authority) -> None:
    options = authority.options()
    context: ssl.SSLContext | None = authority.server_context("device")
    if what == "an impostor's certificate":
        context = impostors.server_context("device")
    elif what == "a certificate for another host":
        context = authority.server_context("device", host="10.9.8.7")
    elif what == "an expired certificate":
        context = authority.server_context("device", days=-1)
    elif what == "another certificate than the pinned one":
        options["server_certificate_file"] = authority.issue("other")[0]
    elif what == "no TLS at all":
        context = None
    elif context is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with on_socket([lambda _: (bytes(20),)], context) as peer:
        endpoint = peer.endpoint if context is not None else f"modbus+tls://{peer.endpoint}"
        with pytest.raises(LinkError, match=REFUSED[what]) as caught:
            await read(endpoint, options)
        assert caught.value.reason in ("untrusted", "refused")
        assert not [ask for ask in peer.asked if ask.pdu[:1] == b"\x03"]


async def test_a_device_that_does_not_know_us_says_so(authority: Authority, impostors: Authority) -> None:
    async with on_socket([], authority.server_context("device")) as peer:
        options = impostors.options() | {"ca_file": authority.ca_file}
        with pytest.raises(LinkError, match=r"(?i)lost.*(alert|unknown|certificate)|closed by the device"):
            await read(peer.endpoint, options)
        assert not peer.asked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certificate_file": "/nowhere/c.pem"}, "certificate_file /nowhere/c.pem cannot be read"),
        ({"private_key_file": "/nowhere/k.pem"}, "certificates cannot be used"),
        ({"ca_file": "/nowhere/ca.pem"}, "certificates cannot be used"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named(change: dict[str, str], said: str, authority: Authority) -> None:
    with pytest.raises(LinkError, match=said):
        await read("modbus+tls://127.0.0.1:9", authority.options() | change)


async def test_our_own_expired_certificate_is_not_shown_to_anybody(authority: Authority) -> None:
    with pytest.raises(LinkError, match="our certificate expired on"):
        await read("modbus+tls://127.0.0.1:9", authority.options(days=-2))


async def test_certificates_that_expire_soon_are_told_once_a_day(authority: Authority) -> None:
    where = Endpoint.parse("modbus+tls://127.0.0.1:9")
    now = datetime.now(UTC)
    async with on_socket([], authority.server_context("device", days=20)) as peer:
        where = Endpoint.parse(peer.endpoint)
        connector = Connector(where, 1.0, authority.options(days=10), lambda: now)
        with capture_logs() as logs:
            for hours in (0, 1, 25):
                now += timedelta(hours=hours)
                link = await connector.connect(asyncio.get_running_loop().time() + 1.0)
                link.abort(LinkError("enough", "closed"))
                await link.closed
        told = [(entry["event"], entry["whose"]) for entry in logs]
        assert told == [("certificate.expiring", "ours"), ("certificate.expiring", "the device's")] * 2


@pytest.mark.parametrize("whose", ["our", "the device's"])
async def test_a_connection_ends_with_the_certificate_that_it_began_with(whose: str, authority: Authority) -> None:
    context = authority.server_context("device", days=1.0 if whose == "the device's" else 365.0)
    options = authority.options(days=1.0 if whose == "our" else 365.0)
    path = authority.folder / ("gridedge.pem" if whose == "our" else "device.pem")
    expiry = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    async with on_socket([], context) as peer:
        connector = Connector(Endpoint.parse(peer.endpoint), 1.0, options, lambda: expiry - timedelta(seconds=0.3))
        link = await connector.connect(asyncio.get_running_loop().time() + 1.0)
        assert link.usable
        async with asyncio.timeout(5.0):
            await link.closed
        assert str(link.fault) == f"{whose} certificate expired while the connection stood"


def of_one_curve(authority: Authority, curve: str) -> ssl.SSLContext:
    context = authority.server_context("device")
    context.set_ecdh_curve(curve)
    return context


def of_a_large_certificate(authority: Authority) -> ssl.SSLContext:
    """In TLS 1.2 the curve of a certificate has to be one that we offer."""
    context = authority.server_context("device", curve=ec.SECP384R1)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


ONE_CURVE: dict[str, Callable[[Authority], ssl.SSLContext]] = {
    **{curve: partial(of_one_curve, curve=curve) for curve in CURVES if curve},
    "a certificate on secp384r1": of_a_large_certificate,
}


@pytest.mark.parametrize("what", ONE_CURVE)
async def test_a_device_that_speaks_one_curve_only_is_read_after_some_attempts(what: str, authority: Authority) -> None:
    async with (
        on_socket([], ONE_CURVE[what](authority)) as peer,
        session_to(peer.endpoint, authority.options()) as session,
    ):
        for attempt in range(len(CURVES)):
            try:
                await session.request(read_registers(1, 3, 100, 2), asyncio.get_running_loop().time() + 2.0)
            except LinkError:
                assert attempt < len(CURVES) - 1
                await asyncio.sleep(0.005)
        assert session.up
        session.drop("once more", 1)
        await asyncio.sleep(0.005)
        await session.request(read_registers(1, 3, 200, 2), asyncio.get_running_loop().time() + 2.0)
        assert session.generation == 2, "it is remembered which one"


@pytest.mark.parametrize(
    "wish",
    [("-groups", "ffdhe8192"), ("-tls1_2", "-cipher", "DHE")],
    ids=["TLS 1.3, before it proves who it is", "TLS 1.2"],
)
async def test_whoever_answers_cannot_choose_a_field_that_takes_long_to_compute_with(
    wish: tuple[str, ...], authority: Authority
) -> None:
    async with openssl_server(authority, *wish) as (endpoint, _), session_to(endpoint, authority.options()) as session:
        for _ in range(len(CURVES)):
            with pytest.raises(LinkError, match="HANDSHAKE_FAILURE"):
                await session.request(read_registers(1, 3, 100, 2), asyncio.get_running_loop().time() + 2.0)
            await asyncio.sleep(0.005)


async def test_a_device_cannot_become_somebody_else_on_a_standing_connection(authority: Authority) -> None:
    async with openssl_server(authority, "-tls1_2") as (text, commands):
        clock = SystemClock()
        connector = Connector(Endpoint.parse(text), 1.0, authority.options(), clock.utc)
        link = await connector.connect(asyncio.get_running_loop().time() + 2.0)
        commands.write(b"r\n")  # asks for a new handshake inside the old connection
        await commands.drain()
        async with asyncio.timeout(5.0):
            await link.closed
        assert not link.usable


async def longest_hold_s(until: asyncio.Event) -> float:
    """CPU seconds of the longest turn of the loop; what else the machine does is not in it."""
    longest, last = 0.0, time.thread_time()
    while not until.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    return longest


async def test_a_device_that_floods_inside_tls_is_given_up_and_never_holds_the_loop(authority: Authority) -> None:
    """Key updates are no data, but each is computed on: one such device held everybody up for half a second."""
    script = Path(__file__).with_name("hostile_tls_server.py")
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), *authority.issue("device")), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    over, said = asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()
    watching = asyncio.ensure_future(longest_hold_s(over))
    try:
        async with session_to(f"modbus+tls://127.0.0.1:{port}", authority.options()) as session, asyncio.timeout(20.0):
            while sum("a flood inside TLS" in text for text in said) < 3:
                try:
                    await session.request(read_registers(1, 3, 100, 2), loop.time() + 1.0)
                except LinkError as fault:
                    said.append(str(fault))
                await asyncio.sleep(0.01)
    finally:
        over.set()
        server.kill()
        await server.wait()
    assert await watching < 0.04, "a handshake takes some milliseconds, a piece of the flood one"


async def test_a_device_that_answers_for_long_is_never_taken_for_a_flood(authority: Authority) -> None:
    async with on_socket((), authority.server_context("device")) as peer:
        async with session_to(peer.endpoint, authority.options()) as session:
            for _ in range(150):  # more than twice what may come beside answers
                deadline = asyncio.get_running_loop().time() + 2.0
                await session.request(read_registers(1, 3, 100, 125), deadline)
        assert session.counters.connects == 1
