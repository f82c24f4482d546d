"""A recording back into its lines; what is torn or damaged is said, and everything around it is used."""

from __future__ import annotations

import json
import math
import mmap
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.documents import shown
from controller.recording.codec import CodecError, Tree
from controller.recording.format import CYCLE, GAP, HEADER, STATE, Header, header_from_tree
from controller.recording.patch import patched
from controller.recording.writer import SUFFIX, is_file_target

if TYPE_CHECKING:
    from zlib import _Decompress as _Unpacker

_MEMBER = b"\x1f\x8b\x08"
_CHUNK = 4096
_WHOLE_MAX = 1 << 63
LINE_BYTES_MAX = 32 << 20
"""A longer line is damage: a few kilobytes can be made to unpack to gigabytes."""


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
        if kind == STATE and isinstance(content, dict):
            self._snapshot, self._record, self._lost = None, None, False
            return Checkpoint(content)
        if kind == GAP and isinstance(content, dict):
            return Gap(_lost_of(content))
        if kind != CYCLE or not isinstance(content, dict):
            known = "this version knows header, state, cycle and gap, each an object"
            raise CodecError(f"{self._name} holds a line {shown(kind)} with {shown(content)}; {known}")
        return None if self._lost else self._cycle(content)

    def _cycle(self, content: dict[str, Any]) -> RecordedCycle | Damage:
        try:
            self._snapshot = patched(self._snapshot, content["s"])
            self._record = patched(self._record, content["r"])
            check_cycle(self._snapshot, self._record)
        except (CodecError, KeyError) as error:
            self._lost = True
            return Damage(f"{self._name}: a cycle cannot be read: {error}")
        return RecordedCycle(self._snapshot, self._record)


def _lost_of(content: dict[str, Any]) -> int:
    lost = content.get("lost")
    if type(lost) is not int or lost < 0:
        raise CodecError(f"a gap has lost {shown(lost)} cycles; expected a whole number from 0")
    return lost


def check_cycle(snapshot: Tree, record: Tree) -> None:
    """Raise CodecError where what every reader of a cycle counts on is not there."""
    if not isinstance(snapshot, dict) or not isinstance(snapshot.get("rest"), dict):
        raise CodecError(f"its snapshot is {shown(snapshot)}; expected an object with times, points and rest")
    now_s = record.get("now_s") if isinstance(record, dict) else None
    if isinstance(now_s, bool) or not isinstance(now_s, int | float) or not math.isfinite(now_s):
        raise CodecError(f"its record is of {shown(now_s)} s; expected an object whose now_s is a finite number")


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
        unpacker, begun = zlib.decompressobj(31), bytearray()
        while not unpacker.eof and self.end < len(self._data) and not self.trouble:
            chunk = self._data[self.end : self.end + _CHUNK]
            plain, unpacker = self._unpacked(unpacker, chunk)
            self.end += len(chunk) - len(unpacker.unused_data)
            first, *more = plain.split(b"\n")
            begun += first
            for line in more:
                parsed = _parsed(begun)
                if parsed is None:
                    self.trouble = "damaged (a line is not JSON)"
                    return
                yield parsed
                begun = bytearray(line)
            if len(begun) > LINE_BYTES_MAX:
                self.trouble = f"damaged (a line of more than {LINE_BYTES_MAX} bytes)"
        if not unpacker.eof and not self.trouble:
            self.trouble = "torn (the writer was cut off)"

    def _unpacked(self, unpacker: _Unpacker, chunk: bytes) -> tuple[bytes, _Unpacker]:
        """What a chunk holds, up to where it is damaged, and the unpacker behind it."""
        before = unpacker.copy()
        try:
            return unpacker.decompress(chunk), unpacker
        except zlib.error as error:
            self.trouble = f"damaged ({error})"
            return _up_to_the_damage(before, chunk), before


def _up_to_the_damage(unpacker: _Unpacker, chunk: bytes) -> bytes:
    """What was written before the disk was full, or before the writer was cut off, is behind no later byte."""
    plain = bytearray()
    with suppress(zlib.error):
        for k in range(len(chunk)):
            plain += unpacker.decompress(chunk[k : k + 1])
    return bytes(plain)


def _parsed(line: bytes | bytearray) -> dict[str, Any] | None:
    try:
        out = json.loads(line, parse_int=_whole, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return out if isinstance(out, dict) and "is" in out else None


def _whole(text: str) -> int:
    """Nothing that a controller counts is larger. Raises ValueError."""
    number = int(text)
    if not -_WHOLE_MAX <= number < _WHOLE_MAX:
        raise ValueError(f"{text[:40]} is more than 64 bits hold")
    return number


def _no_number(text: str) -> float:
    """The writer spells them out (see :mod:`controller.recording.codec`). Raises ValueError."""
    raise ValueError(f"{text} is no JSON")
