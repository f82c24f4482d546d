"""The table of events in the documentation and the code say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from controller.runtime.event_log import WORRYING

ROOT = Path(__file__).resolve().parents[3]
LOG_METHODS = ("info", "warning", "error", "log")
NAME = re.compile(r"[a-z0-9_]+(\.[a-z_]+)?")


def names_in(source: str) -> Iterator[str]:
    """Names of the events that a module logs, returns, or keeps in a table of transitions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and is_event(node):
            yield from names_under(node.args[:2])
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TRANSITIONS":
            yield from names_under([node.value])


def is_event(call: ast.Call) -> bool:
    func = call.func
    logged = isinstance(func, ast.Attribute) and func.attr in LOG_METHODS and ast.unparse(func.value) == "_log"
    return logged or ast.unparse(func) == "Event"


def names_under(nodes: Iterable[ast.AST]) -> Iterator[str]:
    constants = (part.value for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant))
    return (value for value in constants if isinstance(value, str) and NAME.fullmatch(value))


def names_in_code() -> set[str]:
    paths = sorted(path for folder in ("controller", "drivers") for path in (ROOT / folder).rglob("*.py"))
    return {name for path in paths for name in names_in(path.read_text("utf-8")) if "." in name or name == "library"}


def names_in_table() -> list[str]:
    return re.findall(r"^\| `([a-z0-9_.]+)` \|", (ROOT / "docs" / "events.md").read_text("utf-8"), re.MULTILINE)


def test_every_event_is_in_the_table_and_every_row_of_the_table_is_an_event() -> None:
    assert set(names_in_table()) == names_in_code()


def test_the_level_in_the_table_is_the_one_of_the_core_s_events() -> None:
    text = (ROOT / "docs" / "events.md").read_text("utf-8")
    levels = dict(re.findall(r"^\| `([a-z0-9_.]+)` \| (\w+) \| core \|", text, re.MULTILINE))
    assert {name for name, level in levels.items() if level == "warning"} == WORRYING


def test_the_table_is_sorted_and_names_each_event_once() -> None:
    assert names_in_table() == sorted(set(names_in_table()))
