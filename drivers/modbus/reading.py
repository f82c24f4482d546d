"""What polls brought; a measurement is made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from controller.domain.measurement import Measurement, Quality
from controller.domain.reading import Reading
from drivers.modbus.bulk import BulkPlan
from drivers.modbus.decode import BlockReader, derive, measure_blocks, read_back
from drivers.profile import Profile


class ReadingPlan:
    """What the readings of one kind of device have in common."""

    def __init__(self, profile: Profile, readers: Sequence[BlockReader]) -> None:
        self.profile = profile
        self.readers = tuple(readers)
        self.bulk = BulkPlan([reader.block for reader in readers], profile.byte_order)
        self.block_of = self.bulk.block_of
        self.column = {name: index for index, name in enumerate(self.bulk.names)}
        self.derived = {spec.name: spec for spec in profile.derived}
        commands = {command.name for command in profile.commands}
        held = [*(["p_set_w"] if commands - {"q_var"} else []), *(["q_set_var"] if "q_var" in commands else [])]
        self.held = frozenset(held)
        read = [spec.name for reader in readers for spec in reader.block.points]
        self.names = (*profile.identity, *read, *self.derived, *held)
        self.known = frozenset(self.names)


class Batch:
    """What was decoded together: values, and in which rows all of them are good; every row the data of each block."""

    __slots__ = ("payloads", "plan", "received_s", "values", "whole")

    def __init__(self, plan: ReadingPlan, payloads: Sequence[bytes], received_s: float) -> None:
        self.plan = plan
        self.payloads = payloads
        self.values, self.whole = plan.bulk.decode(payloads)
        self.received_s = received_s

    def blocks_of(self, row: int) -> Iterable[tuple[BlockReader, bytes]]:
        """Every block of one device and its data."""
        readers = self.plan.readers
        first = row * len(readers)
        return zip(readers, self.payloads[first : first + len(readers)], strict=True)


class PolledReading(Reading):
    """One row of a batch: every point, as :meth:`drivers.modbus.device.ModbusDevice.poll` would say it."""

    __slots__ = ("_batch", "_checked_s", "_explained", "_row", "_sent_s")

    def __init__(self, batch: Batch, row: int, sent_s: Sequence[float], checked_s: float) -> None:
        """``sent_s``: when each block was asked for; ``checked_s``: when the identity was proved (site seconds)."""
        self._batch = batch
        self._row = row
        self._sent_s = sent_s
        self._checked_s = checked_s
        self._explained: dict[str, Measurement] | None = None  # only where not every point is good

    def __getitem__(self, name: str) -> Measurement:
        batch, row = self._batch, self._row
        column = batch.plan.column.get(name)
        if column is None:
            return self._other(name)
        if not batch.whole[row]:
            return self._points()[name]
        sent_s = self._sent_s[batch.plan.block_of[column]]
        value = batch.values.item(row, column) + 0.0  # whoever is told of nothing is not told of less than nothing
        return Measurement(value, Quality.GOOD, sent_s, batch.received_s)

    def __contains__(self, name: object) -> bool:
        return name in self._batch.plan.known

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch.plan.names)

    def __len__(self) -> int:
        return len(self._batch.plan.names)

    @property
    def all_good(self) -> bool:
        """True when every point that was read is good."""
        return self._batch.whole[self._row]

    @property
    def newest_good_s(self) -> float:
        """When the newest good value was sampled (site seconds); minus infinity without any."""
        return self._sent_s[-1] if self.all_good else super().newest_good_s  # the last block was asked last

    def _points(self) -> dict[str, Measurement]:
        """Every point that was read, by the point-by-point way, which knows why one is not good."""
        batch = self._batch
        if self._explained is None:
            blocks = zip(batch.blocks_of(self._row), self._sent_s, strict=True)
            self._explained = measure_blocks(
                reader.take(data, at_s, batch.received_s) for (reader, data), at_s in blocks
            )
        return self._explained

    def _other(self, name: str) -> Measurement:
        """What is computed, read back, or proved."""
        plan = self._batch.plan
        if name in plan.derived:
            return derive(plan.derived[name], self)
        if name in plan.held:
            return read_back(plan.profile, self)[name]
        checked_s = self._checked_s
        return Measurement(plan.profile.identity[name], Quality.GOOD, checked_s, checked_s)
