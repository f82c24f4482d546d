"""Random streams of the simulated world: one per named thing, all from one seed.

A stream depends on the seed and on the name only, so that adding a unit or a meter does not change any other.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of the thing called ``name`` in the world with that ``seed`` (≥ 0)."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
