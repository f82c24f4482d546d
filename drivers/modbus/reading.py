"""What polls brought; a measurement is made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from controller.domain.measurement import Measurement, Quality
from controller.domain.reading import Reading
from drivers.modbus.bulk import BulkPlan, Truths
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
    """What was decoded together: values, and in which rows all of them are good.

    For every row there are the data of each block in turn (``payloads``), when each was asked for (``sent_s``) and when
    the identity was proved (``checked_s``).
    """

    __slots__ = ("checked_s", "payloads", "plan", "received_s", "sent_s", "values", "whole")

    def __init__(
        self,
        plan: ReadingPlan,
        payloads: Sequence[bytes],
        sent_s: Sequence[Sequence[float]],
        checked_s: Sequence[float],
        received_s: float,
    ) -> None:
        self.plan = plan
        self.payloads, self.sent_s, self.checked_s = payloads, sent_s, checked_s
        self.values, good = plan.bulk.decode(payloads)
        self.whole = _whole(good)
        self.received_s = received_s

    def blocks_of(self, row: int) -> Iterable[tuple[BlockReader, bytes, float]]:
        """Every block of one device, its data, and when it was asked for."""
        readers = self.plan.readers
        first = row * len(readers)
        return zip(readers, self.payloads[first : first + len(readers)], self.sent_s[row], strict=True)


def _whole(good: Truths) -> list[bool]:
    if b"\0" not in good.tobytes():
        return [True] * len(good)
    rows: list[bool] = np.logical_and.reduce(good, axis=1).tolist()
    return rows


class PolledReading(Reading):
    """One row of a batch: every point, as :meth:`drivers.modbus.device.ModbusDevice.poll` would say it."""

    __slots__ = ("_batch", "_explained", "_row")

    def __init__(self, batch: Batch, row: int) -> None:
        self._batch = batch
        self._row = row
        self._explained: dict[str, Measurement] | None = None  # only where not every point is good

    def __getitem__(self, name: str) -> Measurement:
        batch, row = self._batch, self._row
        column = batch.plan.column.get(name)
        if column is None:
            return self._other(name)
        if not batch.whole[row]:
            return self._points()[name]
        sent_s = batch.sent_s[row][batch.plan.block_of[column]]
        return Measurement(batch.values.item(row, column), Quality.GOOD, sent_s, batch.received_s)

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
        batch, row = self._batch, self._row
        return batch.sent_s[row][-1] if batch.whole[row] else super().newest_good_s  # the last block was asked last

    def _points(self) -> dict[str, Measurement]:
        """Every point that was read, by the point-by-point way, which knows why one is not good."""
        batch = self._batch
        if self._explained is None:
            blocks = batch.blocks_of(self._row)
            self._explained = measure_blocks(reader.take(data, at_s, batch.received_s) for reader, data, at_s in blocks)
        return self._explained

    def _other(self, name: str) -> Measurement:
        """What is computed, read back, or proved."""
        plan = self._batch.plan
        if name in plan.derived:
            return derive(plan.derived[name], self)
        if name in plan.held:
            return read_back(plan.profile, self)[name]
        checked_s = self._batch.checked_s[self._row]
        return Measurement(plan.profile.identity[name], Quality.GOOD, checked_s, checked_s)
