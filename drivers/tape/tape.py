"""Recording of the field while it is read: taken on the loop without waiting, written by a thread of its own."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.tape.records import MAGIC, VERSION, Kind, Packer, encode, encode_document, pack_values

WAITING_BYTES_MAX = 4 << 20
"""So much may wait for the disk; what comes then is left out, counted, and the file says so."""
_EVERY_S = 0.25
Note = Callable[[Kind, bytes], None]
"""Takes what happened on one line."""
_Item = tuple[Kind, int, bytes]


class Tape:
    """Takes what goes over the connections and writes it to ``path``, of which it keeps at most ``bytes_max``.

    When half of that is full the file becomes ``path`` with ``.1`` behind it, in place of the one before, and a new one
    is begun: the newest half is always there. The same happens to what ``path`` holds at the start. Nothing here waits
    for the disk: a slow or full one costs records, which are counted in ``dropped`` (``trouble`` says why). Keys,
    certificates and options of the devices are never seen; of a secured connection it is the bytes inside.
    """

    def __init__(
        self,
        path: Path,
        now_s: Callable[[], float],
        *,
        bytes_max: int = 64 << 20,
        speed: float = 1.0,
        utc: datetime | None = None,
    ) -> None:
        """``now_s`` gives site seconds, of which ``speed`` pass in one of the machine; ``utc`` is the time of day now.

        OSError when nothing can be written there.
        """
        self.name = str(path)
        self.trouble = ""
        self._now_s = now_s
        self._lines = 0
        self._devices: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._items: deque[_Item] = deque()
        self._put = self._taken = 0  # bytes: each is written by one side only
        self._refused = 0
        day = None if utc is None else utc.isoformat()
        header = {"version": VERSION, "speed": speed, "utc": day, "utc_at_s": now_s()}
        self._file = _File(path, bytes_max // 2, header)
        self._file.begin()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="field recorder", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Records that are in no file."""
        return self._refused + self._file.unwritten

    def noter(self, endpoint: str, gap_s: float | None = None, device: str = "") -> Note:
        """Who takes what happens on a new line to ``endpoint``; ``gap_s`` as in :class:`~drivers.modbus.link.Link`.

        ``device`` is the id of the one device that the line belongs to, if there is but one (OPC UA).
        """
        self._lines += 1
        number = self._lines
        self._define(Kind.LINE, number, {"endpoint": endpoint, "gap_s": gap_s, "device": device})

        def note(kind: Kind, content: bytes) -> None:
            self.note(kind, number, content)

        return note

    def note(self, kind: Kind, who: int, content: bytes = b"") -> None:
        """Something happened on connection ``who``; never waits."""
        record = encode(kind, who, self._now_s(), content)
        if self._put - self._taken > WAITING_BYTES_MAX:
            self._refused += 1
            self.trouble = f"the disk is too slow: {self.dropped} records of the field were not written"
            return
        self._put += len(record)
        self._items.append((kind, who, record))

    def published(self, device: Device, points: Mapping[str, Measurement]) -> None:
        """A poll of ``device`` gave the controller this."""
        names = tuple(points)
        number, known = self._devices.get(device.id, (len(self._devices) + 1, None))
        if known != names:
            self._devices[device.id] = (number, names)
            self._define(Kind.DEVICE, number, _described(device, names))
        answers = [points[name] for name in names]
        content = pack_values([answer.value for answer in answers], [answer.quality for answer in answers])
        self.note(Kind.PUBLISHED, number, content)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write out what waits, for at most ``timeout_s``; safe to call twice."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _define(self, kind: Kind, who: int, document: Mapping[str, Any]) -> None:
        """What later records refer to is never left out; there is little of it."""
        record = encode_document(kind, who, self._now_s(), document)
        self._put += len(record)
        self._items.append((kind, who, record))

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._write()
        self._write()
        self._file.close()

    def _write(self) -> None:
        items = [self._items.popleft() for _ in range(len(self._items))]
        try:
            self._file.write(items, self._refused)
        except OSError as error:
            self.trouble = str(error)
        else:
            self.trouble = "" if items else self.trouble
        self._taken += sum(len(record) for _, _, record in items)


class _File:
    """The file of one part after the other; used by the tape's thread only, once it runs."""

    def __init__(self, path: Path, part_bytes_max: int, header: Mapping[str, Any]) -> None:
        self.unwritten = 0
        self._path = path
        self._part_bytes_max = part_bytes_max
        self._header = header
        self._part = 0
        self._told_lost = 0
        self._standing: dict[tuple[Kind, int], bytes] = {}  # what a new part has to begin with
        self._stream: FileIO | None = None
        self._packer = Packer()
        self._size = 0

    def begin(self) -> None:
        """Put the last part aside and begin a new one."""
        self.close()
        with suppress(FileNotFoundError):
            if self._path.stat().st_size:
                os.replace(self._path, f"{self._path}.1")
        self._stream, self._packer, self._size = FileIO(self._path, "w"), Packer(), 0
        header = encode_document(Kind.HEADER, 0, self._header["utc_at_s"], {**self._header, "part": self._part})
        self._append(MAGIC + self._packer.chunk([header, *self._standing.values()]))
        self._part += 1

    def write(self, items: list[_Item], refused: int) -> None:
        """Append; raises OSError, after which what was written before can still be read, and be appended to."""
        lost = refused + self.unwritten - self._told_lost
        if not items and not lost:
            return
        records = [record for _, _, record in items]
        if lost:
            records.insert(0, encode(Kind.LOST, 0, 0.0, struct.pack(">I", lost)))
        try:
            if self._size >= self._part_bytes_max:
                self.begin()
            self._append(self._packer.chunk(records))
        except OSError:
            self.unwritten += len(items)
            raise
        finally:
            for item in items:
                self._remember(*item)
        self._told_lost += lost

    def close(self) -> None:
        """Close the part; the disk may refuse that too."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def _remember(self, kind: Kind, who: int, record: bytes) -> None:
        if kind in (Kind.LINE, Kind.DEVICE, Kind.OPENED):
            self._standing[kind, who] = record
        elif kind is Kind.ENDED:
            self._standing.pop((Kind.OPENED, who), None)

    def _append(self, data: bytes) -> None:
        """Write whole or not at all."""
        stream = self._stream if self._stream is not None else FileIO(self._path, "a")
        self._stream = stream
        try:
            _write_whole(stream, data)
        except OSError:
            self._packer = Packer()  # what follows cannot refer to what is missing
            with suppress(OSError):
                stream.truncate(self._size)
                stream.seek(self._size)
            raise
        self._size += len(data)


def _write_whole(stream: FileIO, data: bytes) -> None:
    taken = stream.write(data)
    if taken != len(data):
        raise OSError(errno.ENOSPC, f"the disk took {taken} of {len(data)} bytes", str(stream.name))


def _described(device: Device, names: tuple[str, ...]) -> dict[str, Any]:
    """What decoding needs of a device; its options, which say where secrets lie, are left out."""
    is_which = ("id", "protocol", "endpoint", "unit_address", "profile", "serial_number")
    kept = (*is_which, "poll_s", "stale_s", "timeout_s", "delivery")
    return {**{key: getattr(device, key) for key in kept}, "names": names}
