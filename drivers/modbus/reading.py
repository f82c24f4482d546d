"""What polls brought; a measurement is made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from controller.domain.measurement import Measurement, Quality
from controller.domain.reading import Reading
from drivers.modbus.bulk import BulkPlan, Truths
from drivers.modbus.decode import BlockData, BlockReader, derive, measure, measure_blocks, read_back
from drivers.profile import Profile


class ReadingPlan:
    """What the readings of one kind of device have in common."""

    def __init__(self, profile: Profile, readers: Sequence[BlockReader]) -> None:
        self.profile = profile
        self.readers = tuple(readers)
        self.bulk = BulkPlan([reader.block for reader in readers], profile.byte_order)
        self.specs, self.block_of, names = self.bulk.specs, self.bulk.block_of, self.bulk.names
        self.column = {name: index for index, name in enumerate(names)}
        self.derived = {spec.name: spec for spec in profile.derived}
        commands = {command.name for command in profile.commands}
        held = [*(["p_set_w"] if commands - {"q_var"} else []), *(["q_set_var"] if "q_var" in commands else [])]
        self.held = frozenset(held)
        self.names = (*profile.identity, *names, *self.derived, *held)
        self.known = frozenset(self.names)


class Batch:
    """What was decoded together: values, where they are good, and in which rows all of them are."""

    __slots__ = ("block_of", "good", "plan", "received_s", "values", "whole")

    def __init__(self, plan: ReadingPlan, payloads: Iterable[bytes], received_s: float) -> None:
        """``payloads`` holds the data of every block of every device in turn."""
        self.plan = plan
        self.block_of = plan.block_of
        self.values, self.good = plan.bulk.decode(payloads)
        whole: Truths = np.logical_and.reduce(self.good, axis=1)
        self.whole: list[bool] = whole.tolist()
        self.received_s = received_s


class PolledReading(Reading):
    """Every point of one device, as :meth:`drivers.modbus.device.ModbusDevice.poll` would say it."""

    __slots__ = ("_checked_s", "_made", "_plan", "_sent_s")

    def __init__(self, plan: ReadingPlan, sent_s: Sequence[float], checked_s: float) -> None:
        """``sent_s`` per block, ``checked_s`` when the identity was proved."""
        self._plan = plan
        self._sent_s = sent_s
        self._checked_s = checked_s
        self._made: dict[str, Measurement] = {}

    def __getitem__(self, name: str) -> Measurement:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._make(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._plan.known

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.names)

    def __len__(self) -> int:
        return len(self._plan.names)

    @property
    def all_good(self) -> bool:
        """True when every point that was read is good."""
        raise NotImplementedError

    @property
    def newest_good_s(self) -> float:
        """When the newest good value was sampled (site seconds); minus infinity without any."""
        return self._sent_s[-1] if self.all_good else super().newest_good_s  # the last block was asked last

    def _make(self, name: str) -> Measurement:
        plan = self._plan
        column = plan.column.get(name)
        if column is not None:
            return self._point(name, column)
        if name in plan.derived:
            return derive(plan.derived[name], self)
        if name in plan.held:
            return read_back(plan.profile, self)[name]
        return Measurement(plan.profile.identity[name], Quality.GOOD, self._checked_s, self._checked_s)

    def _point(self, name: str, column: int) -> Measurement:
        raise NotImplementedError


class BulkReading(PolledReading):
    """One row of a batch."""

    __slots__ = ("_batch", "_payloads", "_row")

    def __init__(
        self,
        batch: Batch,
        row: int,
        payloads: Sequence[bytes | Exception | None],
        sent_s: Sequence[float],
        checked_s: float,
    ) -> None:
        self._plan = batch.plan  # what the base class does, without the call: this is made for every poll
        self._sent_s = sent_s
        self._checked_s = checked_s
        self._made = {}
        self._batch = batch
        self._row = row
        self._payloads = payloads

    @property
    def all_good(self) -> bool:
        """True when every point that was read is good."""
        return self._batch.whole[self._row]

    def _point(self, name: str, column: int) -> Measurement:
        batch, row = self._batch, self._row
        if batch.whole[row] or batch.good[row, column]:
            sent_s = self._sent_s[batch.block_of[column]]
            return Measurement(batch.values.item(row, column), Quality.GOOD, sent_s, batch.received_s)
        return measure_blocks(blocks_of(self._plan, self._payloads, self._sent_s, batch.received_s))[name]


class LazyReading(PolledReading):
    """The answers of one device; cheaper than a batch while few devices are read together."""

    __slots__ = ("_blocks", "_raw")

    def __init__(
        self,
        plan: ReadingPlan,
        payloads: Sequence[bytes | Exception | None],
        sent_s: Sequence[float],
        received_s: float,
        checked_s: float,
    ) -> None:
        super().__init__(plan, sent_s, checked_s)
        self._blocks = blocks_of(plan, payloads, sent_s, received_s)
        self._raw = {name: number for block in self._blocks for name, number in block.raw.items()}

    @property
    def all_good(self) -> bool:
        """True when every point that was read is good."""
        raw = self._raw
        for block in self._blocks:
            for _, name, missing, scale, offset, low, high in block.reader.plain:
                number = raw[name]
                if not low <= number * scale + offset <= high or (missing and number in missing):
                    return False
        return all(self[spec.name].usable for block in self._blocks for spec in block.reader.scaled)

    def _point(self, name: str, column: int) -> Measurement:
        plan = self._plan
        block = self._blocks[plan.block_of[column]]
        return measure(plan.specs[column], self._raw, block.sent_s, block.received_s)


def blocks_of(
    plan: ReadingPlan, payloads: Sequence[bytes | Exception | None], sent_s: Sequence[float], received_s: float
) -> list[BlockData]:
    """Raw numbers of every block; ``payloads`` are data, one per block."""
    parts = zip(plan.readers, payloads, sent_s, strict=True)
    return [reader.take(data, asked_s, received_s) for reader, data, asked_s in parts if isinstance(data, bytes)]
