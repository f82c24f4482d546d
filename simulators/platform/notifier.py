"""How the platform stand-in tells of its events by MQTT (OpenADR 3.1, notifications via additional protocols)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiomqtt

OPERATIONS = ("CREATE", "UPDATE", "DELETE")
RETRY_S = 0.2


def topics_of(program_id: str) -> dict[str, str]:
    """Topics of the operations on a program's events, by operation."""
    base = f"programs/{program_id}/events"
    return {"ALL": f"{base}/+"} | {operation: f"{base}/{operation.lower()}" for operation in OPERATIONS}


class Notifier:
    """Publishes to a broker on loopback; what it cannot publish is lost, as in life."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def changed(self, operation: str, document: dict[str, Any]) -> None:
        """Something happened to an event."""
        topic = topics_of(str(document["programID"]))[operation]
        body = {"objectType": "EVENT", "operation": operation, "object": document}
        self._waiting.put_nowait((topic, json.dumps(body).encode()))

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port) as client:
                    while True:
                        await client.publish(*await self._waiting.get(), qos=1)
            await asyncio.sleep(RETRY_S)
