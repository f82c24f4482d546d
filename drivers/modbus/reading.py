"""One poll of one device out of a bulk decode; a measurement is made when somebody looks at it."""

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

    def __init__(self, profile: Profile, readers: Sequence[BlockReader], names: Sequence[str]) -> None:
        self.profile = profile
        self.readers = tuple(readers)
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

    def __init__(self, plan: ReadingPlan, bulk: BulkPlan, payloads: Iterable[bytes], received_s: float) -> None:
        """``payloads`` holds the data of every block of every device in turn: bytes only."""
        self.plan = plan
        self.block_of = bulk.block_of
        self.values, self.good = bulk.decode(payloads)
        whole: Truths = np.logical_and.reduce(self.good, axis=1)
        self.whole: list[bool] = whole.tolist()
        self.received_s = received_s


class BulkReading(Reading):
    """Every point of one device, as :meth:`drivers.modbus.device.ModbusDevice.poll` would say it."""

    __slots__ = ("_batch", "_checked_s", "_made", "_payloads", "_row", "_sent_s", "all_good")

    def __init__(
        self,
        batch: Batch,
        row: int,
        payloads: Sequence[bytes | Exception | None],
        sent_s: Sequence[float],
        checked_s: float,
    ) -> None:
        """Row ``row`` of a batch; ``sent_s`` per block, ``checked_s`` when the identity was proved."""
        self._batch = batch
        self._row = row
        self._payloads = payloads
        self._sent_s = sent_s
        self._checked_s = checked_s
        self._made: dict[str, Measurement] = {}
        self.all_good = batch.whole[row]
        """True when every point that was read is good."""

    def __getitem__(self, name: str) -> Measurement:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._make(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._batch.plan.known

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch.plan.names)

    def __len__(self) -> int:
        return len(self._batch.plan.names)

    @property
    def newest_good_s(self) -> float:
        """When the newest good value was sampled (site seconds); minus infinity without any."""
        if self.all_good or self._batch.good[self._row, -1]:  # the last block was asked last
            return self._sent_s[-1]
        return super().newest_good_s

    def _make(self, name: str) -> Measurement:
        batch, plan = self._batch, self._batch.plan
        column = plan.column.get(name)
        if column is not None:
            if self.all_good or batch.good[self._row, column]:
                sent_s = self._sent_s[batch.block_of[column]]
                return Measurement(batch.values.item(self._row, column), Quality.GOOD, sent_s, batch.received_s)
            return self._explained()[name]
        if name in plan.derived:
            return derive(plan.derived[name], self)
        if name in plan.held:
            return read_back(plan.profile, self)[name]
        return Measurement(plan.profile.identity[name], Quality.GOOD, self._checked_s, self._checked_s)

    def _explained(self) -> dict[str, Measurement]:
        """The long way, which knows the reasons."""
        received_s = self._batch.received_s
        parts = zip(self._batch.plan.readers, self._payloads, self._sent_s, strict=True)
        return measure_blocks(
            [reader.take(data, sent_s, received_s) for reader, data, sent_s in parts if isinstance(data, bytes)]
        )
