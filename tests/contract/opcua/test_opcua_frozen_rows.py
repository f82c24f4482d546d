"""OPC UA servers that keep the protocol and show what was: through the driver into the picture of the controller."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio
from hostile_opcua_server import METER, HostileServer, opcua_device, shown

from controller.clock import SystemClock
from controller.estimation.plausibility import initial_watch, watch
from controller.estimation.readings import sample
from controller.runtime.process_image import ProcessImage
from drivers.opcua.device import OpcUaDevice

pytestmark = [pytest.mark.socket, pytest.mark.asyncio(loop_scope="module")]

SEED = 20261123
SAMPLES_LIVE, FOUND_WITHIN = 8, 32
POINT = "unit.PV.p_w"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[HostileServer]:
    built = HostileServer()
    await built.start()
    yield built
    await built.stop()


class Source:
    """What feeds the node ``p_w``; ``again`` says what it shows once it is frozen."""

    def __init__(self, server: HostileServer, again: Callable[[float], float]) -> None:
        self._server = server
        self._again = again
        self._rng = random.Random(SEED)
        self._value = 0.0

    def live(self) -> None:
        self._value = 50_000.0 + self._rng.randrange(2000)
        self._server.values["p_w"] = shown(self._value)

    def frozen(self, *, fresh: bool) -> None:
        """The same value again, sampled anew or not."""
        if fresh:
            self._server.values["p_w"] = shown(self._again(self._value))


FROZEN: dict[str, tuple[Callable[[float], float], bool, bool]] = {
    "the source has stopped": (lambda value: value, False, True),
    "the source has stopped and its time goes on": (lambda value: value, True, True),
    "an idle unit reads zero": (lambda _: 0.0, True, False),
}


@pytest.mark.parametrize("delivery", ["read", "subscription"])
@pytest.mark.parametrize("name", FROZEN)
async def test_what_stands_still_counts_as_missing_within_some_samples_and_what_is_idle_does_not(
    server: HostileServer, name: str, delivery: str
) -> None:
    again, fresh, is_found = FROZEN[name]
    server.reset()
    source = Source(server, again)
    site = replace(opcua_device(server.port, delivery)._device, feeds={"p_w": POINT}, unit="PV")
    clock = SystemClock()
    device, image = OpcUaDevice(site, METER, clock), ProcessImage([site])
    state, frozen = initial_watch(1, 1), []
    for number in range(SAMPLES_LIVE + FOUND_WITHIN):
        source.live() if number < SAMPLES_LIVE else source.frozen(fresh=fresh)
        await asyncio.sleep(0.025)
        await poll_good(device, image)
        taken = sample((POINT,), image.freeze(clock.now_s()))
        state = watch(state, taken.value[None, :], np.asarray(taken.at_s)[None, :])
        frozen.append(bool(state.frozen[0]))
    assert not any(frozen[: SAMPLES_LIVE + 2])
    assert frozen[-1] is is_found
    source.live()
    await asyncio.sleep(0.05)
    await poll_good(device, image)
    taken = sample((POINT,), image.freeze(clock.now_s()))
    assert not watch(state, taken.value[None, :], np.asarray(taken.at_s)[None, :]).frozen[0], "it moves again"
    await device.aclose()


async def poll_good(device: OpcUaDevice, image: ProcessImage) -> None:
    """Poll until the point is good: a busy machine may cost an answer."""
    async with asyncio.timeout(5.0):
        while not (reading := await device.poll())["p_w"].usable:  # noqa: ASYNC110 - a poll is what finds it
            await asyncio.sleep(0.02)
    image.update("DUT", reading)
