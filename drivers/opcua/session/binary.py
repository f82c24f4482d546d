"""The binary encoding (OPC 10000-6, 5.2) as far as a reader of numbers needs it: strict, bounded, without recursion
that a peer can choose the depth of. Sans-IO; whatever is wrong is a ``ValueError`` or a ``struct.error``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

ELEMENTS_MAX = 8192
"""Strings, structures and array elements of variable size that one message may hold: what bounds the time it takes."""
DEPTH_MAX = 4
TEXT_BYTES_MAX = 4096

_U8, _U16, _U32, _I32 = (struct.Struct(code) for code in ("<B", "<H", "<I", "<i"))
_ID_TWO, _ID_FOUR, _ID_NUMERIC = struct.Struct("<BB"), struct.Struct("<BBH"), struct.Struct("<BHI")
_NO_TEXT = _I32.pack(-1)
NO_OBJECT = bytes(3)
"""An ExtensionObject that is not there."""


class WireError(ValueError):
    """A peer sent what cannot be, or more than we take."""


class Reader:
    """Walks over one message; ``at`` is where it stands."""

    __slots__ = ("_elements_left", "at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._elements_left = ELEMENTS_MAX

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next fields."""
        fields = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return fields

    def u8(self) -> int:
        """Byte."""
        return self.unpack(_U8)[0]

    def u16(self) -> int:
        """UInt16."""
        return self.unpack(_U16)[0]

    def u32(self) -> int:
        """UInt32."""
        return self.unpack(_U32)[0]

    def i32(self) -> int:
        """Int32."""
        return self.unpack(_I32)[0]

    def skip(self, size: int) -> None:
        """Leave out bytes that must be there."""
        if not 0 <= size <= len(self.data) - self.at:
            raise WireError(f"{size} bytes announced at {self.at} of {len(self.data)}")
        self.at += size

    def count(self, least_bytes: int = 1) -> int:
        """Length of an array whose elements take ``least_bytes`` or more; a null array has none."""
        length = self.i32()
        if length == -1:
            return 0
        if length < 0 or length * least_bytes > len(self.data) - self.at:
            raise WireError(f"an array of {length} announced at {self.at} of {len(self.data)}")
        return length

    def spend(self, elements: int = 1) -> None:
        """Count elements of variable size. Raises :class:`WireError` when a message has too many."""
        self._elements_left -= elements
        if self._elements_left < 0:
            raise WireError(f"more than {ELEMENTS_MAX} elements in one message")

    def blob(self, at_most: int = TEXT_BYTES_MAX) -> bytes | None:
        """ByteString, or the bytes of a String; None for null."""
        self.spend()
        length = self.i32()
        if length == -1:
            return None
        if length > at_most:
            raise WireError(f"a string of {length} bytes; expected at most {at_most}")
        start = self.at
        self.skip(length)
        return self.data[start : self.at]

    def text(self) -> str:
        """String; empty for null."""
        return (self.blob() or b"").decode("utf-8", "replace")

    def localized_text(self) -> str | None:
        """The text of a LocalizedText; None when it has none."""
        self.spend()
        mask = self.u8()
        if mask & 0x01:
            self.text()
        return self.text() if mask & 0x02 else None

    def node_id(self) -> bytes:
        """A NodeId in its shortest encoding, so that equal ids are equal bytes. A remote one is refused."""
        self.spend()
        kind = self.u8()
        if kind & 0xC0:
            raise WireError("a node of another server")
        return self._node_id(kind)

    def expanded_node_id(self) -> bytes | None:
        """As :meth:`node_id`; None for a node of another server or one that is named by a namespace URI."""
        self.spend()
        kind = self.u8()
        found = self._node_id(kind & 0x3F)
        uri = self.blob() if kind & 0x80 else None
        server = self.u32() if kind & 0x40 else 0
        return None if uri or server else found

    def _node_id(self, kind: int) -> bytes:
        start = self.at
        if kind == 0:
            return numeric_id(self.u8())
        if kind == 1:
            return numeric_id(*reversed((self.u8(), self.u16())))
        if kind == 2:
            return numeric_id(*reversed((self.u16(), self.u32())))
        self.u16()
        if kind == 4:
            self.skip(16)
        elif kind in (3, 5):
            self.blob()
        else:
            raise WireError(f"a NodeId of kind {kind}")
        return bytes((kind,)) + self.data[start : self.at]

    def diagnostic_info(self) -> None:
        """Skip a DiagnosticInfo; inner ones only as deep as anybody needs."""
        for _ in range(DEPTH_MAX):
            self.spend()
            mask = self.u8()
            self.skip(4 * sum(mask >> bit & 1 for bit in (0, 1, 2, 3)))
            if mask & 0x10:
                self.blob()
            self.skip(4 if mask & 0x20 else 0)
            if not mask & 0x40:
                return
        raise WireError("diagnostics inside diagnostics without end")

    def extension_object(self) -> tuple[bytes, bytes]:
        """(type id, body) of an ExtensionObject in binary; no body is an empty one."""
        type_id, encoding = self.node_id(), self.u8()
        if encoding not in (0, 1):
            raise WireError(f"a structure of encoding {encoding}; expected binary")
        return type_id, (self.blob(len(self.data)) or b"") if encoding else b""


def numeric_id(identifier: int, namespace: int = 0) -> bytes:
    """A numeric NodeId in its shortest encoding."""
    if namespace == 0 and identifier < 1 << 8:
        return _ID_TWO.pack(0, identifier)
    if namespace < 1 << 8 and identifier < 1 << 16:
        return _ID_FOUR.pack(1, namespace, identifier)
    return _ID_NUMERIC.pack(2, namespace, identifier)


def text(value: str | None) -> bytes:
    """String."""
    if value is None:
        return _NO_TEXT
    encoded = value.encode("utf-8")
    return _I32.pack(len(encoded)) + encoded


def qualified_name(namespace: int, name: str | None) -> bytes:
    """QualifiedName."""
    return _U16.pack(namespace) + text(name)


def array(elements: Sequence[bytes]) -> bytes:
    """Array of elements that are encoded already."""
    return _I32.pack(len(elements)) + b"".join(elements)
