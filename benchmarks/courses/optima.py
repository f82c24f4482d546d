"""The stored optima of the courses, each tied to the content that it was computed for."""

from __future__ import annotations

import json
from pathlib import Path

from .course import Json, digest

STORE = Path(__file__).with_name("optima.json")


def stored(folder: Path) -> Json:
    """The optimum of the course in ``folder``, or {} when none is stored for this content."""
    found = _read().get(folder.name, {})
    return dict(found) if found.get("digest") == digest(folder) else {}


def store(folder: Path, optimum: Json) -> None:
    """Keep the optimum of the course in ``folder``."""
    content = _read() | {folder.name: {"digest": digest(folder)} | _rounded(optimum)}
    STORE.write_text(json.dumps(dict(sorted(content.items())), indent=1) + "\n")


def _read() -> Json:
    return dict(json.loads(STORE.read_text())) if STORE.exists() else {}


def _rounded(optimum: Json) -> Json:
    return {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in optimum.items()}
