"""A recording back into its lines; what is torn or damaged is said, and everything around it is used."""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.recording.codec import CodecError, Tree
from controller.recording.format import CYCLE, GAP, HEADER, STATE, Header, header_from_tree
from controller.recording.patch import patched
from controller.recording.writer import SUFFIX, is_file_target

_MEMBER = b"\x1f\x8b\x08"
_CHUNK = 4096  # what is lost in front of a damaged place is at most what this much holds


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The loop's memory before the next cycle."""

    tree: Tree


@dataclass(frozen=True, slots=True)
class RecordedCycle:
    """One cycle as the file has it: trees of snapshot and record."""

    snapshot: Tree
    record: Tree


@dataclass(frozen=True, slots=True)
class Gap:
    """So many cycles were not recorded, because the disk was too slow or full; 0 when the loop began anew."""

    lost: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that cannot be read, in words; the next item after it is a header or a checkpoint."""

    text: str


Item = Header | Checkpoint | RecordedCycle | Gap | Damage


class NoRecording(ValueError):
    """The path holds no recording; says what was expected."""


def recording_files(path: Path) -> list[Path]:
    """The files of a recording: the one, or all of a folder in the order in which they were begun.

    Raises NoRecording when there is none.
    """
    if path.is_dir():
        files = sorted(path.glob(f"*{SUFFIX}"))
        if files:
            return files
        raise NoRecording(f"folder {path} holds no recording; expected files named *{SUFFIX}")
    if path.is_file() and is_file_target(path):
        return [path]
    raise NoRecording(f"no recording {path}; expected a file *{SUFFIX} or a folder with such files")


def read(path: Path) -> Iterator[Item]:
    """Everything in a file or a folder, in order. Raises NoRecording, OSError, and CodecError for another format."""
    for file in recording_files(path):
        yield from _Assembler(file.name).items(_lines(file))


class _Assembler:
    """From patches to whole cycles; after a damage everything is skipped up to a header or a checkpoint."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._snapshot: Tree = None
        self._record: Tree = None
        self._lost = True

    def items(self, lines: Iterator[dict[str, Any] | Damage]) -> Iterator[Item]:
        began = False
        for line in lines:
            item = line if isinstance(line, Damage) else self._item(line)
            if item is None:
                continue
            if not began and not isinstance(item, Header | Damage):
                raise NoRecording(f"{self._name} does not begin with a header; expected a recording of this program")
            began = True
            yield item

    def _item(self, line: dict[str, Any]) -> Item | None:
        kind = line["is"]
        content = line.get(kind)
        if kind == HEADER and isinstance(content, dict):
            return header_from_tree(content)
        if kind == STATE:
            self._snapshot, self._record, self._lost = None, None, False
            return Checkpoint(content)
        if kind == GAP and isinstance(content, dict):
            return Gap(int(content["lost"]))
        if kind != CYCLE or not isinstance(content, dict):
            raise CodecError(f"{self._name} holds a line {kind!r}; this version knows header, state, cycle and gap")
        return None if self._lost else self._cycle(content)

    def _cycle(self, content: dict[str, Any]) -> RecordedCycle | Damage:
        try:
            self._snapshot = patched(self._snapshot, content["s"])
            self._record = patched(self._record, content["r"])
        except (CodecError, KeyError) as error:
            self._lost = True
            return Damage(f"{self._name}: {error}")
        return RecordedCycle(self._snapshot, self._record)


def _lines(file: Path) -> Iterator[dict[str, Any] | Damage]:
    """The parsed lines of all gzip members, with a :class:`Damage` where one could not be read to its end."""
    if file.stat().st_size == 0:
        yield Damage(f"{file.name} is empty")
        return
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at: int | None = 0
        while at is not None and at < len(data):
            member = _Member(data, at)
            yield from member.lines()
            if member.trouble:
                yield Damage(f"{file.name}: {member.trouble} after byte {at}")
            at = _next_member(data, at + 1) if member.trouble else member.end


def _next_member(data: mmap.mmap, start: int) -> int | None:
    found = data.find(_MEMBER, start)
    return None if found < 0 else found


class _Member:
    """One gzip member from byte ``at`` on; ``end`` and ``trouble`` are known when its lines are used up."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self.end = at
        self.trouble = ""
        self._data = data

    def lines(self) -> Iterator[dict[str, Any]]:
        unpacker, rest = zlib.decompressobj(31), b""
        while not unpacker.eof and self.end < len(self._data):
            chunk = self._data[self.end : self.end + _CHUNK]
            try:
                whole = (rest + unpacker.decompress(chunk)).split(b"\n")
            except zlib.error as error:
                self.trouble = f"damaged ({error})"
                return
            self.end += len(chunk) - len(unpacker.unused_data)
            rest = whole.pop()
            for line in whole:
                parsed = _parsed(line)
                if parsed is None:
                    self.trouble = "damaged (a line is not JSON)"
                    return
                yield parsed
        if not unpacker.eof:
            self.trouble = "torn (the writer was cut off)"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        out = json.loads(line)
    except ValueError:
        return None
    return out if isinstance(out, dict) and "is" in out else None
