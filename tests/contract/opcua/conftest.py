"""One hostile server for a whole file of tests, and a driver that gives up sooner than in service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hostile_opcua_server import HostileServer

from drivers.opcua import link
from drivers.opcua.session import subscription


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listening() -> AsyncIterator[HostileServer]:
    built = HostileServer()
    await built.start()
    yield built
    await built.stop()


@pytest.fixture
def server(listening: HostileServer, monkeypatch: pytest.MonkeyPatch) -> HostileServer:
    monkeypatch.setattr(subscription, "QUIET_S", 0.3)
    monkeypatch.setattr(link, "BACK_OFF_FIRST_S", 0.01)
    monkeypatch.setattr(link, "BACK_OFF_MAX_S", 0.02)
    monkeypatch.setattr(link, "CONNECT_S_MIN", 0.5)
    listening.reset()
    return listening
