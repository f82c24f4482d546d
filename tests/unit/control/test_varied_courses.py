"""Courses by seed are the same everywhere, and every one of them can be lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[3] / "benchmarks")
SEEDS = range(8)


@pytest.fixture
def courses(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import courses.catalogue

    yield courses.catalogue
    for name in [n for n in sys.modules if n == "courses" or n.startswith("courses.")]:
        del sys.modules[name]


def test_a_seed_gives_the_same_bytes_and_another_seed_others(courses: ModuleType, tmp_path: Path) -> None:
    from courses.course import digest

    first, again, other = (
        courses.build(n).write(tmp_path / str(k)) for k, n in enumerate(("varied-3",) * 2 + ("varied-7",))
    )
    assert digest(first) == digest(again) != digest(other)


def test_a_name_without_a_seed_is_no_course(courses: ModuleType) -> None:
    assert not courses.known("varied-")
    assert not courses.known("varied-x")
    with pytest.raises(KeyError, match="varied-SEED"):
        courses.build("varied-x")


@pytest.mark.parametrize("seed", SEEDS)
def test_units_that_nobody_controls_break_a_limit(courses: ModuleType, seed: int) -> None:
    from courses.varied import undisturbed

    course = courses.build(f"varied-{seed}")
    flow = undisturbed(course.network, course.series)
    assert np.abs(flow.ends).max() > 1.05, f"seed {seed}"
