"""Field recordings from the disk, the part put aside before the newest one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivers.tape.records import VERSION, DamagedError, Kind, Record, decode


def read(path: Path, remarks: list[str]) -> Iterator[Record]:
    """Every record that can be believed, oldest first; ``remarks`` gets what is missing or damaged.

    ``path`` with ``.1`` behind it comes first where it is the part before. Raises OSError when ``path`` cannot be read
    and ValueError when it is no field recording of a version that is known.
    """
    data = path.read_bytes()
    header = _header(data, path)
    earlier = Path(f"{path}.1")
    if header["part"] and earlier.exists():
        old = earlier.read_bytes()
        before = _header(old, earlier)
        if {**before, "part": before["part"] + 1} == header:
            yield from _whole(old, earlier, remarks)
    yield from _whole(data, path, remarks)


def _header(data: bytes, path: Path) -> dict[str, Any]:
    try:
        first = next(decode(data), None)
        header = first.document if first is not None and first.kind is Kind.HEADER else {}
    except DamagedError as damage:
        raise ValueError(f"{path} is no field recording, or nothing of it is left: it {damage}") from damage
    if header.get("version") != VERSION or not isinstance(header.get("part"), int):
        begins = first.content[:100] if first is not None else "nothing"
        raise ValueError(f"{path} begins with {begins!r}; expected the header of a field recording, version {VERSION}")
    return header


def _whole(data: bytes, path: Path, remarks: list[str]) -> Iterator[Record]:
    try:
        yield from decode(data)
    except DamagedError as damage:
        remarks.append(f"{path} {damage}; what comes before is shown")
