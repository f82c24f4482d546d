"""The table of events in the documentation and the code say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LOG_METHODS = ("info", "warning", "error", "log")
NAME = re.compile(r"[a-z_]+(\.[a-z_]+)?")


def names_in(source: str) -> Iterator[str]:
    """Names of the events that a module logs or returns."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        func = node.func
        logged = isinstance(func, ast.Attribute) and func.attr in LOG_METHODS and ast.unparse(func.value) == "_log"
        returned = ast.unparse(func) == "Event"
        if logged or returned:
            yield from (
                part.value
                for argument in node.args[:2]
                for part in ast.walk(argument)
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and NAME.fullmatch(part.value)
            )


def names_in_code() -> set[str]:
    paths = sorted((ROOT / "controller").rglob("*.py"))
    return {name for path in paths for name in names_in(path.read_text("utf-8")) if "." in name or name == "library"}


def names_in_table() -> list[str]:
    return re.findall(r"^\| `([a-z_.]+)` \|", (ROOT / "docs" / "events.md").read_text("utf-8"), re.MULTILINE)


def test_every_event_is_in_the_table_and_every_row_of_the_table_is_an_event() -> None:
    assert set(names_in_table()) == names_in_code()


def test_the_table_is_sorted_and_names_each_event_once() -> None:
    assert names_in_table() == sorted(set(names_in_table()))
