"""The number of the session, bdSeq: one more at every connection, also over restarts (3.0.0, 5.4)."""

from __future__ import annotations

from pathlib import Path

from controller.durable import replace_file

FILE = "sparkplug-bdseq"
BD_SEQ_MAX = 255


def next_number(folder: Path) -> int:
    """The next one, on the disk before it is used; 0 when the last one is not known. Raises OSError."""
    path = folder / FILE
    last = _number(path.read_bytes()) if path.exists() else BD_SEQ_MAX
    number = (last + 1) % (BD_SEQ_MAX + 1)
    replace_file(path, b"%d\n" % number)
    return number


def _number(text: bytes) -> int:
    """What stands in the file; a torn or foreign one counts as none."""
    try:
        number = int(text)
    except ValueError:
        return BD_SEQ_MAX
    return number if 0 <= number <= BD_SEQ_MAX else BD_SEQ_MAX
