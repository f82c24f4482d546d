"""Plugs that no device has: what ``gridedge unplug`` pulls of the box and of the platform."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from simulators.faults import FaultKind

PLUGS = "plugs"
"""The socket, in the folder of the simulator's."""
_LINE_BYTES_MAX = 1 << 16


class Refused(ValueError):
    """What was asked for cannot be done; says why."""


class Plug(Protocol):
    """Something that can be taken away and put back."""

    name: str
    what: str

    def pull(self, kind: FaultKind, for_s: float) -> None:
        """Take it away for so many seconds of the site, possibly endless. Raises Refused."""
        ...

    def put_back(self) -> None:
        """Let it be there again. Raises Refused."""
        ...


class Plugs:
    """Answers lines as the simulator does for its devices.

    ``{"devices": true}``, ``{"fault": KIND, "device": NAME, "for_s": SECONDS}`` and ``{"mend": NAME}``.
    """

    def __init__(self, plugs: Sequence[Plug]) -> None:
        self._plugs = {plug.name: plug for plug in plugs}

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        """On a Unix socket, while the context lasts."""
        server = await asyncio.start_unix_server(self._talk, str(path), limit=_LINE_BYTES_MAX)
        try:
            yield
        finally:
            server.close()

    def answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """What to say to one line."""
        try:
            if "devices" in command:
                return {"ok": True, "devices": [_row(plug) for plug in self._plugs.values()]}
            if "mend" in command:
                plug = self._plug(command["mend"])
                plug.put_back()
            else:
                plug = self._plug(command["device"])
                plug.pull(FaultKind(command["fault"]), float(command.get("for_s", math.inf)))
        except (KeyError, TypeError, ValueError) as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True, "device": plug.name}

    def _plug(self, name: Any) -> Plug:
        if name not in self._plugs:
            raise Refused(f"nothing of the demo is called {name!r}; expected one of {', '.join(self._plugs)}")
        return self._plugs[name]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(json.loads(line))).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # whoever hangs up or sends no line of JSON is not talked to any more
        finally:
            writer.close()


def _row(plug: Plug) -> dict[str, str]:
    return {"device": plug.name, "commands": "", "protocol": plug.what, "address": "", "profile": ""}
