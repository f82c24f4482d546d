"""The project's own files, parsed once, for the house rules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("controller", "drivers", "simulators")
CORE = tuple(
    f"controller.{name}"
    for name in ("domain", "physics", "grid", "estimation", "limits", "control", "planning", "documents")
)


@dataclass(frozen=True)
class Module:
    """One Python file: where it is, what it is called, what it says."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    def place(self, line: int) -> str:
        """File and line, as an editor wants them."""
        return f"{self.path.relative_to(ROOT)}:{line}"

    def inside(self, *packages: str) -> bool:
        """Whether the module is one of ``packages`` or in one."""
        return any(self.name == package or self.name.startswith(f"{package}.") for package in packages)


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file under ``folders`` (the three packages when none is given)."""
    paths = (path for folder in folders or PACKAGES for path in sorted((ROOT / folder).rglob("*.py")))
    return tuple(_module(path) for path in paths)


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Module(path, name, text, ast.parse(text, filename=str(path)))


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Full name and line of everything that a module imports, wherever in the file it does so."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.place(node.lineno)}: relative import; the house imports by full name"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file under version control; outside a clone, every file of the packages and the root folder."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        found = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        found = [
            *ROOT.glob("*"),
            *(path for folder in (*PACKAGES, "tests", "docs") for path in ROOT.glob(f"{folder}/**/*")),
        ]
    return tuple(path for path in found if path.is_file())


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of ``packages`` or in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def report(places: list[str]) -> str:
    """A list of places as the message of a failed assertion."""
    return "\n" + "\n".join(sorted(places))
