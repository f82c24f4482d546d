"""A SunSpec device: a Modbus device whose table is made anew from its own chain of models at every session."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace

from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality, missing
from controller.domain.site import Device
from controller.ports import Clock
from drivers.modbus.codec import READ_HOLDING, ExceptionAnswer, read_registers, write_registers
from drivers.modbus.decode import BlockData
from drivers.modbus.device import BlockRead, ModbusDevice
from drivers.modbus.lines import Lines
from drivers.modbus.link import LinkError
from drivers.modbus.proof import IdentityError
from drivers.profile import Profile
from drivers.sunspec.bind import Bound, bind, lacking_reason
from drivers.sunspec.chain import Chain, ChainWalk
from drivers.sunspec.nameplate import serial_point

DISCOVER_AGAIN_S = 60.0
"""A device that refuses a block may have moved it; its chain is walked again, this often at most (site seconds)."""
HEARTBEAT_S = 1.0
HEARTBEAT_STILL_S = 10.0
"""SunSpec 715: both heartbeats count up every second. A device whose own stands still this long is not believed."""


class SunSpecDevice(ModbusDevice):
    """:class:`controller.ports.FieldDevice` for profiles with ``layout: sunspec``.

    The chain is walked at every new connection, over several polls if the device is slow. The headers of the models in
    use are read with the data behind them: a header that reads otherwise makes every value of that poll BAD. So does a
    serial number that is not the one of the site file, or else the first that was read: two inverters of one model that
    have changed places look the same in everything else.
    """

    def __init__(
        self,
        device: Device,
        profile: Profile,
        clock: Clock,
        rng: random.Random | None = None,
        lines: Lines | None = None,
    ) -> None:
        """As :class:`ModbusDevice`; raises ``ValueError`` also for a profile that is not bound to SunSpec models."""
        if profile.template is None:
            raise ValueError(f"device {device.id}: profile {profile.id} has fixed addresses; expected layout sunspec")
        super().__init__(device, profile, clock, rng, lines)
        self._declared = profile.template
        self._names = profile.poll_names()
        self._bound: Bound | None = None
        self._walk = ChainWalk()
        self._walked = -1
        self._walked_s = -math.inf
        self._refused = False
        self._leased_until_s = -math.inf
        self._beaten_s = -math.inf
        self._beats = 0
        self._heartbeat: tuple[float, float] = (math.nan, -math.inf)

    @property
    def chain(self) -> Chain | None:
        """The models that the device has; None while they are not known."""
        return self._walk.chain if self._bound is not None else None

    async def poll(self) -> Mapping[str, Measurement]:
        """Read every point once, and show our own heartbeat while we hold a lease."""
        points = await super().poll()
        await self._beat()
        return points

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        """Send leased set points; UNSUPPORTED names the model that the device would need."""
        outcome = await super().write(values, lease_s, revert)
        if outcome.state is OutcomeState.ACKNOWLEDGED:
            self._leased_until_s = self._clock.now_s() + lease_s
        elif outcome.state is OutcomeState.UNSUPPORTED and self._bound is not None:
            reasons = [lacking_reason(self._declared, self._bound, name) for name in values]
            return Outcome(outcome.state, "; ".join(reason for reason in reasons if reason) or outcome.reason)
        return outcome

    async def _identify(self, deadline: float, *, urgent: bool) -> int:
        if not self.session.up:
            await self.session.connected(deadline, unit=self._device.unit_address, urgent=urgent)
        if self._walked != self.session.generation:
            self._walk, self._walked, self._bound = ChainWalk(), self.session.generation, None
        if self._bound is None:
            await self._discover(deadline, urgent)
        return await super()._identify(deadline, urgent=urgent)

    async def _discover(self, deadline: float, urgent: bool) -> None:
        """Go on with the walk; what is not finished by the deadline goes on with the next poll."""
        walk, generation = self._walk, self._walked
        while (wanted := walk.wanted) is not None:
            request = read_registers(self._device.unit_address, READ_HOLDING, *wanted)
            if asyncio.get_running_loop().time() >= deadline:
                raise IdentityError(f"still finding the SunSpec models, at register {wanted[0]}")
            refused, data = "", b""
            try:
                reply = await self.session.request(
                    request, deadline, generation=generation, urgent=urgent, answer_s=self.timeout_s
                )
                data = reply.data
            except ExceptionAnswer as refusal:
                refused = str(refusal)
            if walk.wanted != wanted:
                continue  # a write walks beside a poll: the other one has taken this step
            if refused:
                walk.refuse(refused)
            else:
                walk.take(data)
        if self._walk is walk and self._bound is not None:
            return
        if walk.chain is None:
            self._walk = ChainWalk()
            raise self.refute(walk.fault)
        self._bound = bind(self._declared, walk.chain)
        self._walked_s = self._clock.now_s()
        self._use(replace(self._bound.profile, serial=serial_point(walk.chain)))

    async def _read(
        self, reads: Iterable[BlockRead], generation: int, deadline: float, *, urgent: bool = False
    ) -> dict[str, Measurement]:
        self._refused = False
        points = await super()._read(reads, generation, deadline, urgent=urgent)
        fault = self._moved(points)
        if fault:
            self._walked = -1
            return self._failed(self._readable, self.refute(fault))
        if self._refused and self._clock.now_s() - self._walked_s > DISCOVER_AGAIN_S:
            self._walked = -1
        return points

    async def _read_block(self, read: BlockRead, generation: int, deadline: float, *, urgent: bool) -> BlockData:
        try:
            return await super()._read_block(read, generation, deadline, urgent=urgent)
        except ExceptionAnswer:
            self._refused = True
            raise

    def _moved(self, points: Mapping[str, Measurement]) -> str:
        """Why the models are not where they were; empty while all headers that were read are right."""
        for name, expected in self._bound.headers.items() if self._bound is not None else ():
            found = points.get(name)
            if found is not None and found.quality is Quality.GOOD and found.value != expected:
                return f"the SunSpec models have moved: {name} reads {found.value:g}; expected {expected:g}"
        return ""

    def _complete(self, points: dict[str, Measurement]) -> dict[str, Measurement]:
        """What the profile declares, no more and no less."""
        completed = super()._complete(points) if self._bound is not None else points
        still = self._standing_still(completed)
        now_s = self._clock.now_s()
        if still:
            return {name: Measurement(math.nan, Quality.BAD, now_s, now_s, still) for name in self._names}
        fallback = next((answer for answer in points.values() if answer.quality >= Quality.BAD), None)
        return {name: completed.get(name) or self._absent(name, fallback, now_s) for name in self._names}

    def _absent(self, name: str, fallback: Measurement | None, now_s: float) -> Measurement:
        if self._bound is None:
            return fallback or missing(now_s, "the SunSpec models are not known yet")
        return missing(now_s, self._bound.unbound.get(name, "the device does not have the SunSpec models for it"))

    def _standing_still(self, points: Mapping[str, Measurement]) -> str:
        """Why the device's own heartbeat says that nobody is at home; empty when it counts or has none."""
        beat = points.get(self._declared.heartbeat.watch_point) if self._declared.heartbeat is not None else None
        if beat is None or not beat.usable:
            return ""
        value, since_s = self._heartbeat
        if beat.value != value:
            self._heartbeat = (beat.value, beat.measured_at_s)
            return ""
        still_s = beat.measured_at_s - since_s
        return f"DER heartbeat stands still at {value:g} for {still_s:.0f} s" if still_s > HEARTBEAT_STILL_S else ""

    async def _beat(self) -> None:
        """Count our own heartbeat up once a second, only while we hold a lease: silence must look like silence."""
        heartbeat, now_s = self._declared.heartbeat, self._clock.now_s()
        bound = self._bound
        if heartbeat is None or bound is None or now_s >= self._leased_until_s or now_s - self._beaten_s < HEARTBEAT_S:
            return
        spec = next((spec for spec in bound.profile.points if spec.name == heartbeat.write_point), None)
        if spec is None:
            return
        self._beaten_s, self._beats = now_s, (self._beats + 1) % 0xFFFF_FFFF
        request = write_registers(self._device.unit_address, spec.address, self._beats.to_bytes(4, "big"))
        try:
            await self.session.request(request, self._deadline(), generation=self._walked, answer_s=self.timeout_s)
        except (LinkError, ExceptionAnswer):
            self.counters.writes_failed += 1
