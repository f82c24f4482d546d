"""Answers to a request, and what noise, faulty devices and attackers make of them; whole batches at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

INTERESTING = np.array([0, 1, 2, 3, 4, 5, 6, 15, 16, 0x7F, 0x80, 0x81, 0x83, 0x84, 0x90, 0xFE, 0xFF], np.uint8)
BATCH = 10_000


def mutated(frames: Sequence[bytes], count: int, seed: int) -> Iterator[list[bytes]]:
    """``count`` frames in batches: a sixteenth unharmed, the others with bytes changed, cut off, added or shifted."""
    rng = np.random.default_rng(seed)
    width = max(map(len, frames)) + 8
    base = np.zeros((len(frames), width), np.uint8)
    for row, frame in enumerate(frames):
        base[row, : len(frame)] = np.frombuffer(frame, np.uint8)
    sizes = np.array([len(frame) for frame in frames])
    for _ in range(0, count, BATCH):
        chosen = rng.integers(len(frames), size=BATCH)
        rows, lengths = base[chosen].copy(), sizes[chosen].copy()
        kind = rng.integers(16, size=BATCH)
        _change(rng, rows, lengths, kind < 10)
        longer = (kind == 10) | (kind == 11)
        lengths[longer] += rng.integers(1, 8, size=int(longer.sum()))
        shorter = (kind == 12) | (kind == 13)
        lengths[shorter] = rng.integers(0, lengths[shorter] + 1)
        shifted = kind == 14
        rows[shifted] = np.roll(rows[shifted], 1, axis=1)
        yield [row[:length] for row, length in zip(_as_bytes(rows), lengths.tolist(), strict=True)]


def _change(rng: np.random.Generator, rows: np.ndarray, lengths: np.ndarray, where: np.ndarray) -> None:
    """One to three bytes each, half of them to values that mean something to Modbus, mostly near the beginning."""
    lines = np.flatnonzero(where)
    for turn in range(3):
        hit = lines if turn == 0 else lines[rng.random(lines.size) < 0.4]
        near = rng.random(hit.size) < 0.7
        span = np.maximum(1, np.where(near, np.minimum(lengths[hit], 9), lengths[hit]))
        values = rng.integers(256, size=hit.size).astype(np.uint8)
        known = rng.random(hit.size) < 0.5
        values[known] = rng.choice(INTERESTING, size=int(known.sum()))
        rows[hit, rng.integers(0, span)] = values


def _as_bytes(rows: np.ndarray) -> list[bytes]:
    data, width = rows.tobytes(), rows.shape[1]
    return [data[at : at + width] for at in range(0, len(data), width)]
