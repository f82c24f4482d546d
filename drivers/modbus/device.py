"""A Modbus device as the controller sees it: poll every point, write leased set points, never raise for the field."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from controller.ports import Clock
from drivers.modbus.blocks import plan_blocks
from drivers.modbus.codec import READ_HOLDING, READ_INPUT, ExceptionAnswer, Request, read_registers, write_registers
from drivers.modbus.commands import CommandRefusedError, plan_writes, points_needed
from drivers.modbus.decode import BlockData, BlockReader, derive, measure_blocks, read_back
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.inspect import counts, raw_words
from drivers.modbus.lines import Lines
from drivers.modbus.link import LinkError
from drivers.modbus.proof import IdentityError, Proof, Proofs
from drivers.modbus.unit_health import PASSING
from drivers.profile import PointSpec, Profile

TIMEOUT_S_MIN = 0.25  # machine seconds; less would call a healthy network dead
IDENTITY_S = 60.0  # site seconds for which an identity that was read on a standing connection is believed
FUNCTIONS = {"holding": READ_HOLDING, "input": READ_INPUT}

BlockRead = tuple[Request, BlockReader]
"""A read request and what takes its answer apart."""


class RenewedError(Exception):
    """The connection is a new one, so nothing was sent: start over, with the identity."""


def _raise_if_renewed(fault: LinkError) -> None:
    if fault.reason == "renewed":
        raise RenewedError


@dataclass(slots=True)
class PollCounters:
    """Polls since start: ``ok`` when every block was answered, else ``failed``; writes by outcome."""

    ok: int = 0
    failed: int = 0
    writes_ok: int = 0
    writes_failed: int = 0


class ModbusDevice:
    """:class:`controller.ports.FieldDevice` over any :mod:`drivers.modbus.endpoint`."""

    def __init__(
        self,
        device: Device,
        profile: Profile,
        clock: Clock,
        rng: random.Random | None = None,
        lines: Lines | None = None,
    ) -> None:
        """``rng`` gives the first transaction id; devices given the same ``lines`` share connections.

        Raises ``ValueError`` for an endpoint that cannot be, or that another device of ``lines`` uses differently.
        """
        self.timeout_s = max(clock.real_s(device.timeout_s), TIMEOUT_S_MIN)
        lines = lines if lines is not None else Lines(clock, rng)
        self._member = lines.join(
            device.id,
            Endpoint.parse(device.endpoint),
            device.options,
            timeout_s=self.timeout_s,
            turnaround_s=clock.real_s(profile.read.turnaround_s),
            outstanding_max=profile.read.outstanding_max,
        )
        # What every poll looks at stands together, and is fetched into the cache as one.
        self.session = self._member.session
        self.counters = PollCounters()
        self._known: Mapping[str, Measurement] = {}
        self._known_generation = -1
        self._tape = lines.tape
        self._blocks = 0
        self._device = device
        self._clock = clock
        self._heard: dict[bytes, bytes] = {}
        self.proofs = Proofs(device.unit_address, device.serial_number)
        self._use(profile)

    @property
    def id(self) -> str:
        """Id of the device in the site file."""
        return self._device.id

    @property
    def unit_address(self) -> int:
        """Modbus unit id."""
        return self._device.unit_address

    def identity_is_fresh(self, now_s: float) -> bool:
        """True while what the present connection leads to need not be proved again."""
        generation, checked_s = self.identified
        return generation == self.session.generation and now_s - checked_s < self.identity_lasts_s

    def proved(self, generation: int, at_s: float) -> None:
        """All that was asked by ``proofs`` was right on that connection, begun at ``at_s`` (site seconds)."""
        self.identified = (generation, at_s)
        self.session.health(self._device.unit_address).refuted = 0

    def check(self, proof: Proof, data: bytes) -> None:
        """``data`` came to ``proof``. Raises :class:`IdentityError` where another device told it."""
        fault = proof.fault(data)
        if fault:
            raise self.refute(fault)

    def refute(self, text: str) -> IdentityError:
        """Something else than the configured device answers: it is asked less and less, and has to prove itself."""
        self.identified = (-1, -math.inf)
        self.session.refute(text, self._device.unit_address, renew=not self._member.shared)
        return IdentityError(text)

    def remember(self, points: Mapping[str, Measurement], generation: int) -> None:
        """A poll was answered whole, on that connection."""
        self.counters.ok += 1
        self.session.counters.answers += self._blocks
        self._known, self._known_generation = points, generation
        if self._tape is not None:
            self._tape.published(self._device, points)

    def explain(
        self,
        answers: Sequence[bytes | Exception | None],
        sent_s: Sequence[float],
        fault: LinkError | None,
        generation: int,
    ) -> Mapping[str, Measurement]:
        """What a poll brought in which not every block of ``reads`` was answered."""
        good: list[BlockData] = []
        points: dict[str, Measurement] = {}
        now_s = self._clock.now_s()
        for (_, reader), answer, asked_s in zip(self.reads, answers, sent_s, strict=True):
            if isinstance(answer, bytes):
                good.append(reader.take(answer, asked_s, now_s))
                self.session.counters.answers += 1
            else:
                why = answer or fault or LinkError("was not asked for", "skipped")
                points.update(self._failed(reader.block.points, why))
        points.update(measure_blocks(good))
        self._known, self._known_generation = points, generation
        if fault is None:
            self.counters.ok += 1
        else:
            self.counters.failed += 1
        return self._taped(self._complete(self._identity_points() | points))

    async def poll(self) -> Mapping[str, Measurement]:
        """Read every point once; see :class:`controller.ports.FieldDevice`."""
        deadline = self._deadline()
        while True:
            try:
                points = await self._poll(deadline)
            except RenewedError:
                continue  # another unit cost the line its connection before we were through; ends with the deadline
            return self._taped(self._complete(points))

    async def _poll(self, deadline: float) -> dict[str, Measurement]:
        try:
            self.session.keep_to_share(self._device.unit_address)
            generation = await self._identify(deadline, urgent=False)
        except (ExceptionAnswer, IdentityError) as fault:
            self.counters.failed += 1
            return self._failed(self._readable, fault)
        except LinkError as fault:
            _raise_if_renewed(fault)
            self.counters.failed += 1
            return self._failed(self._readable, fault)
        points = await self._read(self.reads, generation, deadline)
        if generation == self.session.generation and self.session.up:
            self.counters.ok += 1
        else:
            self.counters.failed += 1
        self._known, self._known_generation = points, generation
        return self._identity_points() | points

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        """Send leased set points; see :class:`controller.ports.FieldDevice`."""
        unknown = [name for name in values if self.profile.command(name) is None]
        if unknown:
            text = f"profile {self.profile.id} has no command {', '.join(unknown)}"
            return Outcome(OutcomeState.UNSUPPORTED, text)
        deadline = self._deadline()
        while True:
            try:
                outcome = await self._write(values, lease_s, revert, deadline)
            except RenewedError:
                continue
            break
        if outcome.state is OutcomeState.ACKNOWLEDGED:
            self.counters.writes_ok += 1
        else:
            self.counters.writes_failed += 1
        return outcome

    async def aclose(self) -> None:
        """Leave the connection, which is closed with its last device; safe to call twice."""
        await self._member.leave()

    def raw(self) -> Mapping[str, str]:
        """Registers of the last answers; see :class:`controller.ports.Inspectable`."""
        reads = (*self._identity_reads, *self.reads)
        heard = ((reader.block, self._heard.get(request.pdu)) for request, reader in reads)
        return raw_words((block, data) for block, data in heard if data is not None)

    def counts(self) -> Mapping[str, int]:
        """Counters of polls, writes and the connection; see :class:`controller.ports.Inspectable`."""
        return counts(self.session.counters, asdict(self.counters))

    def _deadline(self) -> float:
        """A device on a shared line may have to wait until somebody else's request has timed out."""
        turns = 2.0 if self._member.shared else 1.0
        return asyncio.get_running_loop().time() + turns * self.timeout_s

    def _use(self, profile: Profile) -> None:
        """Read and write by this table from now on; what an earlier one told is forgotten."""
        self.profile = profile
        self._readable = [spec for spec in profile.points if "r" in spec.access and spec.type != "string"]
        self.reads = self._plan(spec for spec in self._readable if spec.name not in profile.identity)
        self._blocks = len(self.reads)
        self._identity_reads = self._plan(profile.point(name) for name in profile.identity)
        self.proofs.use(profile, self._identity_reads)
        self.identity_lasts_s = IDENTITY_S if self.proofs.asked else math.inf
        """How old a proof of the identity may be (site seconds); without an identity there is nothing to read again."""
        self.identified = (-1, -math.inf)
        """On which connection, and when (site seconds), the identity was last proved; read only."""
        self._known = {}
        self._known_generation = -1
        self._heard.clear()

    def _plan(self, points: Iterable[PointSpec]) -> tuple[BlockRead, ...]:
        unit, order = self._device.unit_address, self.profile.byte_order
        return tuple(
            (read_registers(unit, FUNCTIONS[block.table], block.address, block.count), BlockReader(block, order))
            for block in plan_blocks(points, self.profile.read)
        )

    async def _identify(self, deadline: float, *, urgent: bool) -> int:
        """Prove, once per connection and minute, that the configured kind of device answers.

        Returns the number of the connection that this is true for.
        """
        generation = self.session.generation
        if not self.session.up:
            unit = self._device.unit_address
            generation = await self.session.connected(deadline, unit=unit, urgent=urgent)
        now_s = self._clock.now_s()
        if generation == self.session.generation and self.identity_is_fresh(now_s):
            return generation
        for proof in self.proofs.asked:
            await self._prove(proof, generation, deadline, urgent=urgent)
        self.proved(generation, now_s)
        return generation

    async def _prove(self, proof: Proof, generation: int, deadline: float, *, urgent: bool) -> None:
        try:
            reply = await self.session.request(
                proof.request, deadline, generation=generation, urgent=urgent, answer_s=self.timeout_s
            )
        except ExceptionAnswer as refusal:
            if not proof.may_lack or refusal.code in PASSING:
                raise
            self.check(proof, b"")
        except LinkError as fault:
            if not proof.may_lack or fault.reason != "skipped":  # else: a recording from before it was asked for
                self.proofs.unheard(proof, fault)
                raise
        else:
            self._heard[proof.request.pdu] = reply.data
            self.check(proof, reply.data)

    async def _read(
        self, reads: Iterable[BlockRead], generation: int, deadline: float, *, urgent: bool = False
    ) -> dict[str, Measurement]:
        """Measurements of all points of ``reads``; a lost link ends it, a refused block does not."""
        good: list[BlockData] = []
        points: dict[str, Measurement] = {}
        lost: LinkError | None = None
        for read in reads:
            try:
                if lost is not None:
                    raise lost
                good.append(await self._read_block(read, generation, deadline, urgent=urgent))
            except ExceptionAnswer as refusal:
                points.update(self._failed(read[1].block.points, refusal))
            except LinkError as fault:
                _raise_if_renewed(fault)
                lost = fault
                points.update(self._failed(read[1].block.points, fault))
        points.update(measure_blocks(good))
        return points

    async def _read_block(self, read: BlockRead, generation: int, deadline: float, *, urgent: bool) -> BlockData:
        request, reader = read
        reply = await self.session.request(
            request, deadline, generation=generation, urgent=urgent, answer_s=self.timeout_s
        )
        self._heard[request.pdu] = reply.data
        return reader.take(reply.data, reply.sent_s, reply.received_s)

    def _failed(self, specs: Iterable[PointSpec], fault: Exception) -> dict[str, Measurement]:
        quality = Quality.BAD if isinstance(fault, IdentityError) else Quality.MISSING
        now_s = self._clock.now_s()
        return dict.fromkeys((spec.name for spec in specs), Measurement(math.nan, quality, now_s, now_s, str(fault)))

    def _taped(self, points: dict[str, Measurement]) -> dict[str, Measurement]:
        if self._tape is not None:
            self._tape.published(self._device, points)
        return points

    def _identity_points(self) -> dict[str, Measurement]:
        checked_s = self.identified[1]
        identity = self.profile.identity.items()
        return {name: Measurement(value, Quality.GOOD, checked_s, checked_s) for name, value in identity}

    def _complete(self, points: dict[str, Measurement]) -> dict[str, Measurement]:
        """Add what is computed from the points."""
        for spec in self.profile.derived:
            points[spec.name] = derive(spec, points)
        points.update(read_back(self.profile, points))
        return points

    async def _write(
        self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float], deadline: float
    ) -> Outcome:
        sent = 0
        try:
            generation = await self._identify(deadline, urgent=True)
            known = await self._present(points_needed(self.profile, values), generation, deadline)
            writes = plan_writes(self.profile, values, lease_s, revert, known)
            for item in writes:
                request = write_registers(self._device.unit_address, item.address, item.data)
                await self.session.request(
                    request, deadline, generation=generation, urgent=True, answer_s=self.timeout_s
                )
                sent += 1
        except CommandRefusedError as refusal:
            return Outcome(OutcomeState.REFUSED, f"nothing was sent: {refusal}")
        except IdentityError as fault:
            return Outcome(OutcomeState.FAILED, f"nothing was sent: {fault}")
        except ExceptionAnswer as refusal:
            return Outcome(OutcomeState.REFUSED, f"{refusal}, after {sent} accepted writes")
        except LinkError as fault:
            if not sent:
                _raise_if_renewed(fault)
            return Outcome(OutcomeState.FAILED, f"{fault}, after {sent} accepted writes")
        return Outcome(OutcomeState.ACKNOWLEDGED)

    async def _present(self, names: set[str], generation: int, deadline: float) -> Mapping[str, Measurement]:
        """Scale factors and reference values, from the last poll when that is fresh, else read now."""
        if generation == self._known_generation and all(self._fresh(name) for name in names):
            return self._known
        wanted = self._with_factors(names)
        reads = self._plan(spec for spec in self.profile.points if spec.name in wanted)
        return await self._read(reads, generation, deadline, urgent=True)

    def _fresh(self, name: str) -> bool:
        found = self._known.get(name)
        return found is not None and found.usable and self._clock.now_s() - found.measured_at_s <= self._device.stale_s

    def _with_factors(self, names: set[str]) -> set[str]:
        factors = {self.profile.point(name).sf for name in names}
        return names | {factor for factor in factors if factor is not None}
