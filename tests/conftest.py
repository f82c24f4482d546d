"""Settings that hold for every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from hypothesis import settings
from steady_loop import SteadyLoop

# As every gridedge process, and before the first import of numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples in every run: a test that passed here passes there. A shared machine's pace is no failure.
settings.register_profile("gridedge", derandomize=True, deadline=None)
settings.load_profile("gridedge")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], SteadyLoop]]:
    """A test that shares its loop with its peers lives by its own time."""
    return {"steady": SteadyLoop}
