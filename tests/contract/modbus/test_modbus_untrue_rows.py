"""Devices that keep the protocol and not the truth, row by row on every transport: what they say is frozen, what they
acknowledge is not done. Through the driver into the picture that the controller thinks about."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hostile_peer import Ask, Step
from modbus_certificates import Authority
from test_modbus_hostile_rows import TRANSPORTS, peer_on

from controller.clock import SystemClock
from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from controller.domain.snapshot import Snapshot
from controller.estimation.plausibility import initial_watch, watch
from controller.estimation.readings import sample
from controller.runtime.process_image import ProcessImage
from drivers.modbus.device import ModbusDevice
from drivers.profile_loader import load_profile

pytestmark = pytest.mark.socket

SEED = 20261122
TIMEOUT_S = 0.3
POWER, LIMIT, RATED, FREQUENCY, STATE = 32080, 40126, 30073, 32085, 32089  # of a Huawei SUN2000
RATED_W, ASKED_W = 100_000, 40_000
FEEDS = {"p_w": "unit.PV.p_w", "p_set_w": "unit.PV.p_set_w", "f_hz": "bus.B.f_hz"}
SAMPLES_LIVE, FOUND_WITHIN = 8, 32


@dataclass
class Inverter:
    """Registers that live, and what the device does with reads and writes instead of what it should."""

    on_read: Callable[[Inverter, Ask], list[Step]] | None = None
    on_write: Callable[[Inverter, Ask], list[Step]] | None = None
    held: dict[int, int] = field(default_factory=dict)
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    reads: int = 0
    stopped: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(SEED))

    def __post_init__(self) -> None:
        self.held |= {FREQUENCY: 5000, STATE: 0x200}
        self.put(RATED, RATED_W)
        self.put(LIMIT, RATED_W)

    def put(self, address: int, value: int) -> None:
        self.held[address], self.held[address + 1] = value >> 16 & 0xFFFF, value & 0xFFFF

    def __call__(self, ask: Ask) -> list[Step]:
        function, address, count = struct.unpack_from(">BHH", ask.pdu)
        if function == 16:
            self.writes.append((address, ask.pdu[6:]))
            if self.on_write is not None:
                return self.on_write(self, ask)
            self.store(ask)
            return [ask.right]
        if address <= POWER < address + count and not self.stopped:
            self.reads += 1
            self.put(POWER, 60_000 + self.rng.randrange(2000))
        return self.on_read(self, ask) if self.on_read is not None else [self.answer(ask)]

    def answer(self, ask: Ask) -> bytes:
        function, address, count = struct.unpack_from(">BHH", ask.pdu)
        words = [self.held.get(register, 0) for register in range(address, address + count)]
        return ask.framed(struct.pack(f">BB{count}H", function, 2 * count, *words))

    def store(self, ask: Ask, shift: int = 0) -> None:
        _, address, count = struct.unpack_from(">BHH", ask.pdu)
        words = struct.unpack_from(f">{count}H", ask.pdu, 6)
        self.held.update(zip(range(address + shift, address + shift + count), words, strict=True))


class Field:
    """One device over one transport, its driver, and the picture that the controller gets."""

    def __init__(self, inverter: Inverter, endpoint: str, options: dict[str, str]) -> None:
        self.inverter = inverter
        self.clock = SystemClock()
        secured = options if endpoint.startswith("modbus+tls") else {}
        device = Device("PV", "modbus", endpoint, 1, "huawei_sun2000", FEEDS, "PV", 0.1, 1.0, TIMEOUT_S, secured)
        profile = load_profile("huawei_sun2000")
        quick = replace(profile, read=replace(profile.read, turnaround_s=0.0))
        self.link = ModbusDevice(device, quick, self.clock, random.Random(7))
        self.image = ProcessImage([device])

    async def poll(self) -> dict[str, Measurement]:
        reading = await self.link.poll()
        self.image.update("PV", reading)
        return dict(reading)

    def snapshot(self) -> Snapshot:
        return self.image.freeze(self.clock.now_s())

    async def found(self) -> None:
        """Poll until the device answers (a serial line is listened to first)."""
        for _ in range(100):
            if (await self.poll())["p_w"].usable:
                return
            await asyncio.sleep(0.02)
        pytest.fail("the device was never read")


@asynccontextmanager
async def field_of(transport: str, inverter: Inverter, authority: Authority) -> Iterator[Field]:  # type: ignore[misc]
    context = authority.server_context("device") if transport == "tls" else None
    async with peer_on(transport, [inverter] * 5000, context) as peer:
        found = Field(inverter, peer.endpoint, authority.options() if transport == "tls" else {})
        await found.found()
        yield found
        await found.link.aclose()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("untrue"))


# -- what they say is frozen ------------------------------------------------------------------------------------------


def stops(inverter: Inverter) -> None:
    inverter.stopped = True


def repeats_its_last_answers(inverter: Inverter) -> None:
    """A gateway that answers from its memory while the line behind it is dead."""
    kept: dict[bytes, bytes] = {}

    def from_memory(device: Inverter, ask: Ask) -> list[Step]:
        body = device.answer(ask)
        start, end = (1, -2) if ask.rtu else (7, len(body))
        return [ask.framed(kept.setdefault(ask.pdu, body[start:end]))]

    inverter.on_read = from_memory


def repeats_two_in_turn(inverter: Inverter) -> None:
    """Two inputs of a gateway's memory in turn still move: not frozen, and it cannot be known."""
    values = [60_000, 60_001]

    def in_turn(device: Inverter, ask: Ask) -> list[Step]:
        device.put(POWER, values[device.reads % 2])
        return [device.answer(ask)]

    inverter.on_read = in_turn


def idles(inverter: Inverter) -> None:
    inverter.stopped = True
    inverter.put(POWER, 0)


FROZEN: dict[str, tuple[Callable[[Inverter], None], bool]] = {
    "the meter has stopped": (stops, True),
    "the gateway answers from its memory": (repeats_its_last_answers, True),
    "two values in turn": (repeats_two_in_turn, False),
    "an idle unit reads zero": (idles, False),
}


@pytest.mark.parametrize("name", FROZEN)
async def test_what_stands_still_counts_as_missing_within_some_samples_and_what_is_idle_does_not(
    name: str, authority: Authority
) -> None:
    async with asyncio.TaskGroup() as group:
        for transport in TRANSPORTS:
            group.create_task(stand_still(name, transport, authority), name=transport)


async def stand_still(name: str, transport: str, authority: Authority) -> None:
    untruth, is_found = FROZEN[name]
    async with field_of(transport, Inverter(), authority) as site:
        state, frozen = initial_watch(1, 1), []
        for number in range(SAMPLES_LIVE + FOUND_WITHIN):
            if number == SAMPLES_LIVE:
                untruth(site.inverter)
            await site.found()  # a busy machine may cost a serial line an answer
            taken = sample(("unit.PV.p_w",), site.snapshot())
            state = watch(state, taken.value[None, :], np.asarray(taken.at_s)[None, :])
            frozen.append(bool(state.frozen[0]))
            await asyncio.sleep(0.002)
        assert not any(frozen[: SAMPLES_LIVE + 2]), transport
        assert frozen[-1] is is_found, transport
        if name == "the meter has stopped":
            site.inverter.stopped = False
            await site.poll()
            taken = sample(("unit.PV.p_w",), site.snapshot())
            assert not watch(state, taken.value[None, :], np.asarray(taken.at_s)[None, :]).frozen[0], "it moves again"


# -- what they acknowledge is not done --------------------------------------------------------------------------------


def acknowledged_only(device: Inverter, ask: Ask) -> list[Step]:
    return [ask.right]


def stored_elsewhere(device: Inverter, ask: Ask) -> list[Step]:
    device.store(ask, shift=10)
    return [ask.right]


def stored_with_words_swapped(device: Inverter, ask: Ask) -> list[Step]:
    device.store(ask)
    device.held[LIMIT], device.held[LIMIT + 1] = device.held[LIMIT + 1], device.held[LIMIT]
    return [ask.right]


def clamped(device: Inverter, ask: Ask) -> list[Step]:
    device.put(LIMIT, 50_000)
    return [ask.right]


def half_stored(device: Inverter, ask: Ask) -> list[Step]:
    device.held[LIMIT] = struct.unpack_from(">H", ask.pdu, 6)[0]
    return [ask.right]


def done_and_not_acknowledged(device: Inverter, ask: Ask) -> list[Step]:
    device.store(ask)
    return []


def done_and_acknowledged_late(device: Inverter, ask: Ask) -> list[Step]:
    device.store(ask)
    return [TIMEOUT_S + 0.1, ask.right]


def acknowledged_with_another_count(device: Inverter, ask: Ask) -> list[Step]:
    return [ask.framed(ask.pdu[:4] + b"\1")]


def acknowledged_at_another_address(device: Inverter, ask: Ask) -> list[Step]:
    return [ask.framed(ask.pdu[:2] + bytes((ask.pdu[2] ^ 1,)) + ask.pdu[3:5])]


def answered_as_a_read(device: Inverter, ask: Ask) -> list[Step]:
    return [ask.framed(b"\x03\x04" + ask.pdu[6:10])]


def refused_but_done(device: Inverter, ask: Ask) -> list[Step]:
    device.store(ask)
    return [ask.framed(b"\x90\x04")]


@dataclass(frozen=True)
class Untrue:
    """``shows_w``: what the device then says that it holds, generation as a magnitude."""

    behaviour: Callable[[Inverter, Ask], list[Step]]
    outcome: OutcomeState
    shows_w: float


ACK, FAILED, REFUSED = OutcomeState.ACKNOWLEDGED, OutcomeState.FAILED, OutcomeState.REFUSED
WRITES: dict[str, Untrue] = {
    "acknowledged and not done": Untrue(acknowledged_only, ACK, RATED_W),
    "stored in other registers": Untrue(stored_elsewhere, ACK, RATED_W),
    "stored with its words swapped": Untrue(stored_with_words_swapped, ACK, math.nan),
    "clamped to a limit of its own": Untrue(clamped, ACK, 50_000),
    "only the first register stored": Untrue(half_stored, ACK, RATED_W & 0xFFFF),
    "done and not acknowledged": Untrue(done_and_not_acknowledged, FAILED, ASKED_W),
    "done and acknowledged late": Untrue(done_and_acknowledged_late, FAILED, ASKED_W),
    "acknowledged with another count": Untrue(acknowledged_with_another_count, FAILED, RATED_W),
    "acknowledged at another address": Untrue(acknowledged_at_another_address, FAILED, RATED_W),
    "answered like a read": Untrue(answered_as_a_read, FAILED, RATED_W),
    "refused but done": Untrue(refused_but_done, REFUSED, ASKED_W),
}


@pytest.mark.parametrize("name", WRITES)
async def test_what_a_device_acknowledges_is_believed_only_as_far_as_it_says_that_it_holds_it(
    name: str, authority: Authority
) -> None:
    async with asyncio.TaskGroup() as group:
        for transport in TRANSPORTS:
            group.create_task(command(WRITES[name], transport, authority), name=transport)


async def command(row: Untrue, transport: str, authority: Authority) -> None:
    async with field_of(transport, Inverter(on_write=row.behaviour), authority) as site:
        outcome = await commanded(site)
        assert outcome.state is row.outcome, f"{transport}: {outcome}"
        await asyncio.sleep(TIMEOUT_S if row.outcome is FAILED else 0.0)
        held = await held_now(site)
        assert site.inverter.writes == [(LIMIT, ASKED_W.to_bytes(4, "big"))], (
            f"{transport}: sent once, never again; {outcome}"
        )
        if math.isnan(row.shows_w):
            assert held.quality is Quality.BAD, f"{transport}: {held}"
        else:
            assert (held.value, held.quality) == (-row.shows_w, Quality.GOOD), f"{transport}: {held}"
            assert site.snapshot().points["unit.PV.p_set_w"].value == -row.shows_w


async def commanded(site: Field) -> Outcome:
    """The outcome of the one write that reached the device: a busy machine may cost a serial line an answer before."""
    for _ in range(5):
        outcome = await site.link.write({"generation_w_max": float(ASKED_W)}, 60.0, {})
        if site.inverter.writes:
            return outcome
        await site.found()
    pytest.fail(f"nothing was ever sent: {outcome}")


async def held_now(site: Field) -> Measurement:
    """What the device says that it holds, as soon as it is read again; never a value that is not in its registers."""
    for _ in range(100):
        found = (await site.poll())["p_set_w"]
        if found.quality is not Quality.MISSING:
            return found
        await asyncio.sleep(0.02)
    pytest.fail("the device was not read again")


async def test_a_limit_that_a_device_forgets_by_itself_is_seen_at_the_next_poll(authority: Authority) -> None:
    async with field_of("tcp", Inverter(), authority) as site:
        assert (await site.link.write({"generation_w_max": float(ASKED_W)}, 60.0, {})).state is ACK
        assert (await held_now(site)).value == -ASKED_W
        site.inverter.put(LIMIT, RATED_W)
        assert (await held_now(site)).value == -RATED_W


async def test_a_device_that_holds_a_limit_and_ignores_it_is_told_apart_by_its_power(authority: Authority) -> None:
    async with field_of("tcp", Inverter(), authority) as site:
        assert (await site.link.write({"generation_w_max": float(ASKED_W)}, 60.0, {})).state is ACK
        found = await site.poll()
        assert found["p_set_w"].value == -ASKED_W
        assert found["p_w"].value < -60_000 + 1, "what it does is not what it holds, and both are published as they are"
