"""Questions about arrays of truth values, asked some hundred times per cycle.

``mask.any()`` and ``mask.all()`` go through a reduction that takes three times as long as counting, whatever the
length. What is no number counts as true in both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def some(mask: NDArray[Any]) -> bool:
    """Whether any element is true; of an empty mask none is."""
    return bool(np.count_nonzero(mask))


def every(mask: NDArray[Any]) -> bool:
    """Whether all elements are true; of an empty mask all are."""
    return bool(np.count_nonzero(mask) == mask.size)
