"""Instruments: what the field says about the truth, with noise, ratio error, delay and the steps of the registers.

All measured points of all devices are one set of arrays and are read together, at most once per plant step. Noise
comes from a table indexed by the step, so that what is read never depends on who else reads, or how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulators.seeds import stream
from simulators.units.course import Array

_NOISE_SIZE = 1 << 16
_STRIDE = 7919  # prime, so that neighbouring steps share no noise


@dataclass(frozen=True, slots=True)
class Channel:
    """One measured point: ``factor`` (ratio error included) × the true signal, plus noise relative to ``full_scale``.

    ``quantum`` is the step of the register (0: none), ``single`` marks a 32-bit float, ``raw_max`` the greatest raw
    count; beyond it the reading is NaN. An ``unsigned`` register shows 0 when noise would take it below.
    """

    name: str
    signal: int
    factor: float
    full_scale: float
    sigma_rel: float = 0.0
    latency_s: float = 0.0
    quantum: float = 0.0
    offset: float = 0.0
    single: bool = False
    raw_max: float = np.inf
    unsigned: bool = False


class TruthHistory:
    """The last seconds of all true signals, for instruments that lag."""

    def __init__(self, signals: int, depth: int = 16) -> None:
        self._depth = depth
        self._rows: Array = np.zeros((2 * depth, signals))
        self._times: Array = np.full(2 * depth, -np.inf)
        self._count = 0

    def push(self, now_s: float, row: Array) -> None:
        """Append the truth at ``now_s``."""
        k = self._count % self._depth
        self._rows[k] = self._rows[k + self._depth] = row
        self._times[k] = self._times[k + self._depth] = now_s
        self._count += 1

    def at(self, when_s: Array, signal: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Array:
        """Each signal at its own instant, linear between steps; before the first step the first value."""
        first = max(self._depth - self._count, 0)
        base = self._count % self._depth
        times = self._times[base + first : base + self._depth]
        rows = self._rows[base + first : base + self._depth]
        if len(times) == 1:
            only: Array = rows[0, signal]
            return only
        left = np.clip(np.searchsorted(times, when_s, side="right") - 1, 0, len(times) - 2)
        part = np.clip((when_s - times[left]) / (times[left + 1] - times[left]), 0.0, 1.0)
        before, after = rows[left, signal], rows[left + 1, signal]
        out: Array = before + (after - before) * part
        return out


class MeterBank:
    """All channels of a site."""

    def __init__(self, channels: Sequence[Channel], seed: int, signals: int) -> None:
        rng = stream(seed, "meters")
        count = len(channels)
        self.channels = tuple(channels)
        self.history = TruthHistory(signals)
        self._signal = np.array([item.signal for item in channels], dtype=np.intp)
        self._factor = np.array([item.factor for item in channels])
        self.full_scale = np.array([item.full_scale for item in channels])
        self._sigma = np.array([item.sigma_rel for item in channels]) * self.full_scale
        self._latency_s = np.array([item.latency_s for item in channels])
        self._quantum = np.array([item.quantum if item.quantum > 0.0 else 1.0 for item in channels])
        self._offset = np.array([item.offset for item in channels])
        self._rounded = np.array([item.quantum > 0.0 for item in channels], dtype=bool)
        self._single = np.array([item.single for item in channels], dtype=bool)
        self._raw_max = np.array([item.raw_max for item in channels])
        self._raw_min = np.array([0.0 if item.unsigned else -np.inf for item in channels])
        self._noise: Array = rng.standard_normal(_NOISE_SIZE + count)
        self._extra: Array | None = None
        self._step = -1
        self._read: Array = np.full(count, np.nan)
        self._fresh = False

    def push(self, now_s: float, row: Array) -> None:
        """A new true state."""
        self.history.push(now_s, row)
        self._now_s = now_s
        self._step += 1
        self._fresh = False

    def disturb(self, extra: Array | None) -> None:
        """Add ``extra`` (SI, per channel) to every reading until further notice; None for nothing."""
        self._extra = extra
        self._fresh = False

    def read(self) -> Array:
        """What all points read now (SI); the array is not to be changed."""
        if self._fresh:
            return self._read
        truth = self.history.at(self._now_s - self._latency_s, self._signal)
        start = (self._step * _STRIDE) % _NOISE_SIZE
        noise = self._noise[start : start + len(truth)]
        value: Array = truth * self._factor + self._sigma * noise
        if self._extra is not None:
            value = value + self._extra
        counts = np.maximum(np.rint((value - self._offset) / self._quantum), self._raw_min)
        value = np.where(self._rounded, counts * self._quantum + self._offset, value)
        value[self._rounded & (np.abs(counts) > self._raw_max)] = np.nan
        value[self._single] = value[self._single].astype(np.float32)
        self._read, self._fresh = value, True
        return value
