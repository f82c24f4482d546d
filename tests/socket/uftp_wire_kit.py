"""Both ends of the market's wire on this machine: keys that are the same in every run, ports, and the DSO's side."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nacl.bindings import crypto_sign_seed_keypair

from controller.balancing.uftp import wire
from controller.balancing.uftp.desk import Desk, Verdict
from controller.balancing.uftp.endpoint import PATH, Endpoint
from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.sender import Sender
from controller.clock import SystemClock

DSO, AGR, CRO = "dso.example.com", "agr.example.com", "cro.example.com"
POINT, ZONE = "ea1.2026-01.com.example:primary-1", "Europe/London"


def keys(seed: int) -> tuple[str, str]:
    """(public, secret), base64."""
    public, secret = crypto_sign_seed_keypair(bytes([seed]) * 32)
    return b64encode(public).decode(), b64encode(secret).decode()


KEYS = {DSO: keys(1), AGR: keys(2), CRO: keys(3)}


def endpoint_on(port: int, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{port}{PATH}"


@dataclass
class Bench:
    """A desk with both ends of its wire, and what it thought of each message."""

    desk: Desk
    memory: Memory
    sender: Sender
    endpoint: Endpoint
    verdicts: list[Verdict]
    clock: SystemClock

    def now_s(self) -> float:
        return self.clock.utc().timestamp()


def market(agr_port: int, cro_port: int = 9, scheme: str = "http") -> Market:
    known = {
        AGR: Participant(AGR, "AGR", endpoint_on(agr_port, scheme), KEYS[AGR][0], 5e6),
        CRO: Participant(CRO, "CRO", endpoint_on(cro_port), KEYS[CRO][0]),
    }
    return Market(DSO, POINT, 900, ZONE, participants=known)


@asynccontextmanager
async def bench(
    folder: Path, agr_port: int, tls: ssl.SSLContext | None = None, **changes: object
) -> AsyncIterator[Bench]:
    """Everything of the DSO's side on one loop, its memory too: a real one has a thread."""
    clock, memory, verdicts = SystemClock(), Memory(folder), []
    desk = Desk(replace(market(agr_port), **changes), memory)

    async def receive(body: bytes) -> int:
        try:
            verdicts.append(desk.hear(body, clock.utc().timestamp()))
        except wire.Unreadable as error:
            return error.status
        sender.wake()
        return 200

    async def waiting() -> list:
        return memory.waiting()

    async def attempted(message_id: str, fate: str) -> None:
        memory.attempted(message_id, fate)

    def seal(text: bytes) -> bytes:
        return wire.seal(text, DSO, KEYS[DSO][1])

    outward = ssl.create_default_context if tls is None else lambda: tls
    sender = Sender(waiting, attempted, seal, lambda: desk.market.participants, clock, outward)
    endpoint = Endpoint("127.0.0.1", 0, receive)
    await endpoint.open()
    running = asyncio.create_task(sender.run())
    try:
        yield Bench(desk, memory, sender, endpoint, verdicts, clock)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await endpoint.aclose()
        memory.close()


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the disk
            await asyncio.sleep(0.02)
