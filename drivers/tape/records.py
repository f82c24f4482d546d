"""The file format of a field recording: pure bytes, no clock, no disk.

A file is :data:`MAGIC` and then chunks: length and CRC-32 of what follows (4 bytes each, big endian), then a piece of
a deflate stream that runs through the chunks, flushed at each end; the highest bit of the length says that a new stream
begins here. So a file may end anywhere and everything before the torn chunk can be read, and a damaged chunk is told
before anything in it is believed. Inside the stream stand records: kind (1 byte), who (2), site time in microseconds
(8, signed), size of the content (4), content.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

MAGIC = b"GEFIELD1"
VERSION = 1
_CHUNK = struct.Struct(">II")
_NEW_STREAM = 1 << 31
_HEAD = struct.Struct(">BHqI")
CHUNK_BYTES_MAX = 16 << 20
"""A longer chunk is damage: the writer makes chunks of what waited for a fraction of a second."""
PLAIN_BYTES_MAX = 64 << 20
"""What a chunk may hold: the writer lets 4 MB wait. 600 kB can be made to unpack to 600 MB."""
CONTENT_BYTES_MAX = 1 << 20


class Kind(IntEnum):
    """What a record says; ``who`` is the number of a connection or of a device, and 0 where there is neither."""

    HEADER = 0
    """JSON: version, the clock's speed and time of day, which part of a longer recording this is."""
    LINE = 1
    """JSON: a connection: its endpoint, and the longest gap in a frame where there is one."""
    OPENED = 2
    """The connection stands; one byte: how many requests may be outstanding (OPC UA, 4 bytes: which session it is)."""
    SENT = 3
    GOT = 4
    DISCARDED = 5
    """Bytes that came while the line was listened to before it was used."""
    EXPIRED = 6
    """The time for what is pending was up."""
    ENDED = 7
    """The connection ended or never stood: a word for counters, a NUL, the sentence."""
    DEVICE = 8
    """JSON: a device of the site file and the names of its points, in the order of what follows."""
    PUBLISHED = 9
    """What a poll of a device gave the controller: values (doubles), then qualities (bytes)."""
    LOST = 10
    """4 bytes: so many records were not written, because the disk was slow or refused."""
    ASKED = 11
    """An OPC UA request: its number and handle (4 bytes each), the type of the service, its parameters."""
    ANSWERED = 12
    """The answer to an OPC UA request: the number (4 bytes), the decrypted message before any of it is believed."""
    TAKEN = 13
    """The oldest message of a subscription that was not taken yet is what counts from now on."""
    LOOKED = 14
    """A poll of an OPC UA device saw what there was at this moment; PUBLISHED follows."""


_KINDS = frozenset(kind.value for kind in Kind)


@dataclass(frozen=True, slots=True)
class Record:
    """One record; ``at_s`` is the site's monotonic time, to the microsecond."""

    kind: Kind
    who: int
    at_s: float
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The content as a JSON object; :class:`DamagedError` when it is none."""
        try:
            found = json.loads(self.content)
            json.dumps(found, ensure_ascii=False).encode()  # halves of surrogate pairs can be shown to nobody
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"holds a {self.kind.name} record that is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise DamagedError(f"holds a {self.kind.name} record that is no JSON object")
        return found


class DamagedError(Exception):
    """The bytes are no recording from here on; the text says where and why."""


def encode(kind: Kind, who: int, at_s: float, content: bytes = b"") -> bytes:
    """One record as bytes."""
    return _HEAD.pack(kind, who, round(at_s * 1e6), len(content)) + content


def encode_document(kind: Kind, who: int, at_s: float, document: Mapping[str, Any]) -> bytes:
    """One record with a JSON content."""
    return encode(kind, who, at_s, json.dumps(document, separators=(",", ":"), sort_keys=True).encode())


def pack_values(values: Sequence[float], qualities: Sequence[int]) -> bytes:
    """Content of a PUBLISHED record."""
    return struct.pack(f">{len(values)}d{len(values)}B", *values, *qualities)


def unpack_values(content: bytes) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Values and qualities of a PUBLISHED record; :class:`DamagedError` when it is none."""
    count, odd = divmod(len(content), 9)
    if odd:
        raise DamagedError(f"published values take {len(content)} bytes; expected a multiple of 9")
    found = struct.unpack(f">{count}d{count}B", content)
    return found[:count], found[count:]


class Packer:
    """Makes chunks out of records; the first one begins a new stream."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._flag = _NEW_STREAM

    def chunk(self, records: Sequence[bytes]) -> bytes:
        """The records as one chunk that can be read without what follows it."""
        data = self._deflate.compress(b"".join(records)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        head = _CHUNK.pack(len(data) | self._flag, zlib.crc32(data))
        self._flag = 0
        return head + data


def decode(data: bytes) -> Iterator[Record]:
    """Every record of a file; raises :class:`DamagedError` behind the last that can be believed."""
    if not data.startswith(MAGIC):
        raise DamagedError(f"begins with {data[: len(MAGIC)].hex(' ') or 'nothing'}; expected {MAGIC.hex(' ')}")
    at = len(MAGIC)
    inflate = zlib.decompressobj(-15)
    while at < len(data):
        chunk, is_new = _chunk_at(data, at)
        at += _CHUNK.size + len(chunk)
        if is_new:
            inflate = zlib.decompressobj(-15)
        try:
            plain = inflate.decompress(chunk, PLAIN_BYTES_MAX)
        except zlib.error as error:
            raise DamagedError(f"damaged before byte {at}: {error}") from error
        if inflate.unconsumed_tail:
            raise DamagedError(f"damaged before byte {at}: a chunk unpacks to more than {PLAIN_BYTES_MAX} bytes")
        yield from _records(plain)


def _chunk_at(data: bytes, at: int) -> tuple[bytes, bool]:
    """The chunk that begins at ``at``, without its head, and whether a new stream begins with it."""
    left = len(data) - at - _CHUNK.size
    if left < 0:
        raise DamagedError(f"ends within the head of a chunk, at byte {len(data)}")
    head, checksum = _CHUNK.unpack_from(data, at)
    size = head & ~_NEW_STREAM
    if size > CHUNK_BYTES_MAX:
        raise DamagedError(f"damaged at byte {at}: a chunk of {size} bytes; expected at most {CHUNK_BYTES_MAX}")
    if size > left:
        raise DamagedError(f"ends within a chunk, at byte {len(data)}: {left} of its {size} bytes are there")
    chunk = data[at + _CHUNK.size : at + _CHUNK.size + size]
    if zlib.crc32(chunk) != checksum:
        raise DamagedError(f"damaged at byte {at}: the checksum of the chunk is wrong")
    return chunk, bool(head & _NEW_STREAM)


def _records(data: bytes) -> Iterator[Record]:
    at = 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise DamagedError("a record is cut off inside a whole chunk")
        kind, who, at_us, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if kind not in _KINDS or size > min(CONTENT_BYTES_MAX, len(data) - at):
            raise DamagedError(f"a record of kind {kind} and {size} bytes; this version knows none such")
        yield Record(Kind(kind), who, at_us / 1e6, data[at : at + size])
        at += size
