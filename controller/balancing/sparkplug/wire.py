"""Protocol Buffers on the wire, as far as Sparkplug needs them: varints, fixed numbers, bytes with their length.

Source: Protocol Buffers documentation, "Encoding". A field is its number and wire type as one varint, then the content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; the groups (3, 4) are history and refused."""
_VARINT_BYTES_MAX = 10


class Malformed(ValueError):
    """Bytes that are no message of this kind; says where."""


def varint(number: int) -> bytes:
    """A whole number 0…2**64-1, seven bits a byte, the lowest first. Raises ValueError beyond."""
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{number} is no unsigned 64-bit number")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number_field(field: int, number: int) -> bytes:
    """An unsigned number or a truth value."""
    return varint(field << 3 | VARINT) + varint(number)


def double_field(field: int, value: float) -> bytes:
    """A 64-bit floating point number."""
    return varint(field << 3 | FIXED64) + struct.pack("<d", value)


def bytes_field(field: int, content: bytes) -> bytes:
    """Bytes, text in UTF-8, or a message inside the message."""
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Number, wire type and content of every field, in order; fixed ones as their bytes. Raises Malformed."""
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        field, kind = key >> 3, key & 7
        if not field:
            raise Malformed(f"byte {at}: a field of number 0")
        if kind == VARINT:
            number, at = _varint_at(data, at)
            yield field, kind, number
            continue
        if kind == BYTES:
            size, at = _varint_at(data, at)
        else:
            size = _fixed_size(kind, at)
        if at + size > len(data):
            raise Malformed(f"byte {at}: a field of {size} bytes, {len(data) - at} are left")
        yield field, kind, data[at : at + size]
        at += size


def double(content: bytes) -> float:
    """The number in the content of a :func:`double_field`."""
    return float(struct.unpack("<d", content)[0])


def single(content: bytes) -> float:
    """The number in the content of a 32-bit floating point field."""
    return float(struct.unpack("<f", content)[0])


def _fixed_size(kind: int, at: int) -> int:
    if kind == FIXED64:
        return 8
    if kind == FIXED32:
        return 4
    raise Malformed(f"byte {at}: wire type {kind}; expected 0, 1, 2 or 5")


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for k, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            if number >= 1 << 64:
                raise Malformed(f"byte {at}: a number beyond 64 bits")
            return number, at + k + 1
    raise Malformed(f"byte {at}: a number that does not end")
