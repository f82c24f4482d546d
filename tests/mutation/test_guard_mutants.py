"""The guard is held to a higher bar: its tests take every branch and notice nearly every small change."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mutate import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
GUARD = ROOT / "controller" / "control" / "guard.py"
TESTS = ROOT / "tests" / "unit" / "control" / "test_guard.py"
SCORE_MIN = 0.95

INSIDE = "setpoint if unchanged else replace(setpoint, p_w=p_w, q_var=q_var)"

# (line, change): why no input can tell it from the original
EQUIVALENT = {
    ('return ""', "return '' -> return None"): "nothing wrong is any value that is not true",
    (
        "return unit.fail_safe.lease_s if 0.0 < unit.fail_safe.lease_s <= LEASE_S_MAX else LEASE_S_MAX",
        "0.0 < unit.fail_safe.lease_s <= LEASE_S_MAX -> 0.0 < unit.fail_safe.lease_s < LEASE_S_MAX",
    ): "at the boundary both sides of the choice are the same number",
    (
        "most_var = min(unit.q_max_var, math.sqrt(left_va2)) if left_va2 > 0.0 else 0.0",
        "left_va2 > 0.0 -> left_va2 >= 0.0",
    ): "the root of 0 is 0",
    (
        "return setpoint if unchanged else replace(setpoint, p_w=p_w, q_var=q_var)",
        "setpoint if unchanged else replace(setpoint, p_w=p_w, q_var=q_var) -> replace(setpoint, p_w=p_w, q_var=q_var)",
    ): "a copy of what is not changed is the same set point",
}


def loaded(path: Path, name: str) -> ModuleType:
    """A module of its own from a file."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@cache
def guard_tests() -> ModuleType:
    """The guard's own tests, whose ``guard`` is exchanged for mutants."""
    sys.path.insert(0, str(TESTS.parent))
    try:
        return loaded(TESTS, "guard_tests_for_mutants")
    finally:
        sys.path.remove(str(TESTS.parent))


def cases(test: Callable[..., None]) -> Iterator[Callable[[], None]]:
    """A test with every combination of its parameters."""
    tables = [_rows(mark) for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    for chosen in itertools.product(*tables):
        yield partial(test, **{name: value for part in chosen for name, value in part.items()})


def _rows(mark: Any) -> list[dict[str, Any]]:
    names, values = mark.args
    if isinstance(names, str):
        return [{names: value} for value in values]
    return [dict(zip(names, row, strict=True)) for row in values]


def in_order(module: ModuleType) -> list[Callable[[], None]]:
    """All cases; those that search for examples last, for they take longest."""
    tests = [getattr(module, name) for name in dir(module) if name.startswith("test_")]
    tests.sort(key=lambda test: hasattr(test, "hypothesis"))
    return [case for test in tests for case in cases(test)]


def notices(all_cases: list[Callable[[], None]]) -> bool:
    """Whether one of the tests fails."""
    for case in all_cases:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                case()
        except Exception:  # noqa: BLE001 - a wrong program may raise anything
            return True
    return False


def killed(mutant: Mutant, tests: ModuleType, all_cases: list[Callable[[], None]]) -> bool:
    """Whether the tests notice this mutant; one that cannot even be loaded is noticed."""
    module = ModuleType("mutated_guard")
    try:
        exec(compile(mutant.tree, str(GUARD), "exec"), module.__dict__)
    except (NameError, TypeError):
        return True
    tests.guard = module.guard  # type: ignore[attr-defined]
    return notices(all_cases)


@cache
def verdict() -> tuple[int, tuple[Mutant, ...]]:
    """How many mutants there are, and those that no test notices."""
    tests = guard_tests()
    original, all_cases = tests.guard, in_order(tests)
    try:
        every = list(mutants(GUARD.read_text(encoding="utf-8")))
        return len(every), tuple(m for m in every if not killed(m, tests, all_cases))
    finally:
        tests.guard = original  # type: ignore[attr-defined]


def test_the_runner_runs_every_case_of_the_guard_s_tests() -> None:
    tests = guard_tests()
    assert len(in_order(tests)) > 60
    assert not notices(in_order(tests))


def test_almost_every_small_change_of_the_guard_is_noticed() -> None:
    count, unnoticed = verdict()
    alive = [m for m in unnoticed if m.key not in EQUIVALENT]
    equivalent = len(unnoticed) - len(alive)
    score = 1.0 - len(alive) / (count - equivalent)
    listed = "\n".join(f"  line {m.line}: {m.text}\n      {m.change}" for m in alive)
    print(f"guard: {count} mutants, {equivalent} equivalent, {len(alive)} alive, score {score:.3f}")
    assert count > 100
    assert score >= SCORE_MIN, f"mutation score {score:.3f} is below {SCORE_MIN}; nobody notices:\n{listed}"


def test_what_is_listed_as_equivalent_exists_and_is_not_noticed() -> None:
    unnoticed = {m.key for m in verdict()[1]}
    assert not [key for key in EQUIVALENT if key not in unnoticed]


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("a < b", "a < b -> a <= b"),
        ("a and b", "a and b -> a or b"),
        ("x = 1", "1 -> 2"),
        ("def f():\n    return 1", "return 1 -> return None"),
        ("y = min(a, b)", "min(a, b) -> max(a, b)"),
        ("f(x, k=1)", "f(x, k=1) -> f(x)"),
    ],
)
def test_the_kinds_of_changes_are_made(source: str, change: str) -> None:
    assert change in [m.change for m in mutants(source)]


def test_a_mutant_differs_from_the_original_in_one_place() -> None:
    source = GUARD.read_text(encoding="utf-8")
    original = ast.unparse(ast.parse(source))
    assert all(ast.unparse(m.tree) != original for m in mutants(source))


def test_every_branch_of_the_guard_is_taken(tmp_path: Path) -> None:
    """By its own tests, in a process of its own so that a measurement of the whole suite is not disturbed."""
    data, report = tmp_path / "coverage", tmp_path / "coverage.json"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))}
    environment |= {"COVERAGE_FILE": str(data), "PYTHONPATH": str(ROOT)}
    run = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    run([sys.executable, "-m", "coverage", "run", "--branch", f"--include={GUARD}", "-m", "pytest", "-q", str(TESTS)])
    run([sys.executable, "-m", "coverage", "json", "-o", str(report)])
    ((_, found),) = json.loads(report.read_text())["files"].items()
    assert not found["missing_lines"], found["missing_lines"]
    assert not found["missing_branches"], found["missing_branches"]
    assert found["summary"]["num_branches"] > 10
