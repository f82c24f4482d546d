"""Cycle times as they are published."""

from __future__ import annotations

from controller.runtime.cycle_times import CycleTimes


def test_before_the_first_cycle_there_is_nothing_to_tell() -> None:
    assert CycleTimes().summary() == {"p50": 0.0, "p99": 0.0, "max": 0.0, "missed": 0}


def test_quantiles_are_taken_over_the_last_cycles_only() -> None:
    times = CycleTimes(depth=100)
    times.add(5.0)
    for k in range(100):
        times.add(k * 1e-3)
    times.missed = 3
    assert times.summary() == {"p50": 50.0, "p99": 99.0, "max": 99.0, "missed": 3}
