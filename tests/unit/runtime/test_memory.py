"""Memory that was freed stays with the process."""

from __future__ import annotations

import ctypes
import os
import resource

import numpy as np
import pytest

from controller.runtime.memory import keep_freed_memory


def faults_of_one_array() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(16 << 20, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a C library without mallopt keeps what it wants")
def test_an_array_that_is_made_again_asks_the_kernel_for_no_page() -> None:
    assert keep_freed_memory()
    faults_of_one_array()
    pages = (16 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults_of_one_array() < 0.01 * pages


def test_a_library_without_the_setting_is_said_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert keep_freed_memory() is False
