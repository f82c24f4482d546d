"""Settings that hold for every test."""

from __future__ import annotations

import gc
import os
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping

import pytest
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What a failed try left open belongs to it, and is no fault of the try that passed or of the tests that follow."""
    done = yield
    if getattr(item, "execution_count", 1) > 1:
        sys.last_value = sys.last_traceback = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return done


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What plays the whole day takes ten minutes and more: it is left out unless its marker is asked for."""
    if re.search(r"\bday\b", config.option.markexpr):
        return
    left_out = [item for item in items if item.get_closest_marker("day")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("day")]
