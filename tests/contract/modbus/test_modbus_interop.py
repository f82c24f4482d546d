"""Servers that others wrote: libmodbus in C (TCP and RTU over a pty), jsmodbus and modbus-serial in JavaScript."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import struct
import subprocess
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from controller.clock import SystemClock
from drivers.modbus.codec import (
    ExceptionAnswer,
    Request,
    read_bits,
    read_registers,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import LinkError
from drivers.modbus.session import Session

pytestmark = pytest.mark.socket

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[2] / "build" / "node" / "node_modules"


@pytest.fixture(scope="module")
def libmodbus_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("no C compiler or no libmodbus (Debian package libmodbus-dev)")
    program = str(tmp_path_factory.mktemp("libmodbus") / "server")
    subprocess.run([compiler, "-O1", "-Wall", "-o", program, HERE / "libmodbus_server.c", "-lmodbus"], check=True)
    return program


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[str]:
    """A server process; the line that it says when it is ready."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env={**os.environ, **environment})
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20.0):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@contextmanager
def line() -> Iterator[tuple[str, str]]:
    """A serial line between two pseudo terminals: the paths of its ends."""
    loop = asyncio.get_running_loop()
    ends = [pty.openpty() for _ in range(2)]
    masters = [master for master, _ in ends]
    for master, slave in ends:
        tty.setraw(slave)
        os.set_blocking(master, False)

    def pump(source: int, sink: int) -> None:
        with suppress(BlockingIOError, OSError):
            os.write(sink, os.read(source, 4096))

    loop.add_reader(masters[0], pump, masters[0], masters[1])
    loop.add_reader(masters[1], pump, masters[1], masters[0])
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        for master, slave in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)


def words(first: int, count: int) -> bytes:
    return struct.pack(f">{count}H", *range(first, first + count))


def bits(by: int, first: int, count: int) -> bytes:
    on = sum(1 << index for index in range(count) if (first + index) % by == 0)
    return on.to_bytes((count + 7) // 8, "little")


EXCHANGES: list[tuple[Request, bytes]] = [
    (read_registers(1, 3, 0, 1), words(0, 1)),
    (read_registers(1, 3, 60, 125), words(60, 125)),
    (read_registers(1, 4, 5, 60), words(1005, 60)),
    (read_bits(1, 1, 7, 19), bits(3, 7, 19)),
    (read_bits(1, 2, 1, 8), bits(2, 1, 8)),
    (write_register(1, 10, 0xBEEF), b""),
    (write_registers(1, 11, b"\x12\x34\x56\x78"), b""),
    (read_registers(1, 3, 9, 5), words(9, 1) + b"\xbe\xef\x12\x34\x56\x78" + words(13, 1)),
    (write_coil(1, 1, True), b""),
    (write_coils(1, 2, (True, False, True)), b""),
    (read_bits(1, 1, 0, 8), bytes((0b01010111,))),
]


BEYOND = read_registers(1, 3, 5000, 2)


async def talk(endpoint: str) -> None:
    """Every function in turn on one connection, a refusal in between; then on another one."""
    session = Session(Endpoint.parse(endpoint), SystemClock().now_s)
    loop = asyncio.get_running_loop()
    for request, expected in EXCHANGES:
        reply = await session.request(request, loop.time() + 2.0)
        assert reply.data == expected, f"{request.pdu.hex()}: {reply.data.hex()}"
    with pytest.raises(ExceptionAnswer, match="exception 2 illegal data address"):
        await session.request(BEYOND, loop.time() + 2.0)
    assert (await session.request(read_registers(1, 3, 20, 2), loop.time() + 2.0)).data == words(20, 2)
    assert (session.counters.connects, session.counters.timeouts, dict(session.counters.rejected)) == (1, 0, {})
    await session.aclose()
    again = Session(Endpoint.parse(endpoint), SystemClock().now_s)
    assert (await again.request(read_registers(1, 3, 10, 1), loop.time() + 2.0)).data == b"\xbe\xef"
    await again.aclose()


async def test_libmodbus_is_understood_over_tcp(libmodbus_server: str) -> None:
    async with running(libmodbus_server, "tcp") as port:
        await talk(f"127.0.0.1:{port}")


async def test_libmodbus_is_understood_over_a_serial_line(libmodbus_server: str) -> None:
    with line() as (ours, theirs):
        async with running(libmodbus_server, "rtu", theirs) as said:
            assert said == "ready"
            await talk(f"rtu://{ours}?baud=115200&parity=N")


@pytest.fixture
def packages(request: pytest.FixtureRequest) -> str:
    library = request.param
    if shutil.which("node") is None or not (NODE_MODULES / library).is_dir():
        pytest.skip(f"no node, or no {library} (make node-packages)")
    return str(library)


@pytest.mark.parametrize("packages", ["modbus-serial"], indirect=True)
async def test_modbus_serial_is_understood(packages: str) -> None:
    async with running("node", str(HERE / "node_server.js"), packages, NODE_PATH=str(NODE_MODULES)) as port:
        await talk(f"127.0.0.1:{port}")


@pytest.mark.parametrize("packages", ["jsmodbus"], indirect=True)
async def test_jsmodbus_is_understood_and_its_empty_answer_from_beyond_its_registers_is_refused(packages: str) -> None:
    async with running("node", str(HERE / "node_server.js"), packages, NODE_PATH=str(NODE_MODULES)) as port:
        session = Session(Endpoint.parse(f"127.0.0.1:{port}"), SystemClock().now_s)
        loop = asyncio.get_running_loop()
        for request, expected in EXCHANGES:
            assert (await session.request(request, loop.time() + 2.0)).data == expected, request.pdu.hex()
        with pytest.raises(LinkError, match="length is 3; expected 7"):
            await session.request(BEYOND, loop.time() + 2.0)
        await session.aclose()
