"""A real Mosquitto on a port of its own, and a Sparkplug host application that listens to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiomqtt
from free_ports import free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

from sparkplug_kit import Host, read

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PATIENCE_S = 120.0  # for a machine that is busy with something else
LOOK_S = 0.02


def mosquitto_hash(password: str) -> str:
    """As ``mosquitto_passwd`` writes it: PBKDF2 with SHA-512."""
    salt, rounds = b"twelve bytes", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


async def until(good: Callable[[], bool | Awaitable[bool]], what: str, patience_s: float = PATIENCE_S) -> None:
    """Look often until it is so."""
    for _ in range(int(patience_s / LOOK_S)):
        found = good()
        if await found if isinstance(found, Awaitable) else found:
            return
        await asyncio.sleep(LOOK_S)
    raise AssertionError(what)


class Broker:
    """One Mosquitto process that can be killed and started again on its port."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        access = lines or ("allow_anonymous true",)
        self._config.write_text(
            "\n".join((f"listener {self.port} 127.0.0.1", *access, "user root", "persistence false", ""))
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert MOSQUITTO is not None
        quiet = asyncio.subprocess.DEVNULL
        command = (MOSQUITTO, "-c", str(self._config))
        self._process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        for _ in range(100):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)
        raise AssertionError("Mosquitto does not listen")

    async def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = None


class HostApplication:
    """The primary host ``scada``: counts along, and notes when what arrived (machine seconds)."""

    def __init__(self, port: int) -> None:
        self.host = Host()
        self.arrived: list[tuple[float, str, Any]] = []
        self._port = port
        self._client: aiomqtt.Client | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._told_ms = 0

    @contextlib.asynccontextmanager
    async def listening(self, *, online: bool = True) -> AsyncIterator[HostApplication]:
        async with aiomqtt.Client("127.0.0.1", self._port, identifier="scada") as client:
            self._client = client
            await client.subscribe("spBv1.0/fleet/#", 1)
            task = self._hearing = asyncio.create_task(self._hear(client))
            if online:
                await self.state(True)
            try:
                yield self
            finally:
                task.cancel()
                (ended,) = await asyncio.gather(task, return_exceptions=True)
                self._client = None
                if isinstance(ended, AssertionError):
                    raise ended  # the host could not count along

    async def gone(self) -> None:
        """Return when the connection broke or the host could not count along."""
        assert self._hearing is not None
        await asyncio.wait([self._hearing])

    async def state(self, online: bool) -> None:
        self._told_ms = max(int(time.time() * 1e3), self._told_ms + 1)
        body = json.dumps({"online": online, "timestamp": self._told_ms})
        await self._say("spBv1.0/STATE/scada", body.encode(), qos=1, retain=True)

    async def command(self, topic: str, body: bytes) -> None:
        await self._say(topic, body)

    async def until(self, good: Callable[[], bool], what: str) -> None:
        def well() -> bool:
            if self._hearing is not None and self._hearing.done():
                self._hearing.result()
            return good()

        await until(well, what)

    def keys(self, late: bool) -> list[str]:
        """Keys of stored messages that came live or late, in the order of their first arrival."""
        told = self.host.late if late else self.host.told
        return list(dict.fromkeys(value for name, _, value in told if name == "Stored/key"))

    async def _say(self, topic: str, body: bytes, **more: Any) -> None:
        assert self._client is not None
        await self._client.publish(topic, body, **more)

    async def _hear(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in client.messages:
                topic = str(message.topic)
                if "CMD/" in topic:
                    continue
                assert isinstance(message.payload, bytes)
                assert not message.retain
                self.host.hear(topic, message.payload)
                self.arrived.append((time.monotonic(), topic, read(message.payload)))
