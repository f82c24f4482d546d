"""Field recordings whose checksums are right and that no version of ours has written: told, never a traceback."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivers.tape.command import field_replay
from drivers.tape.records import MAGIC, Kind, Packer, encode, encode_document, pack_values

WRITTEN = {"version": 1, "speed": 1.0, "utc": None, "utc_at_s": 0.0, "part": 0}
PLAIN_METER = {
    "id": "M",
    "protocol": "modbus",
    "endpoint": "10.0.0.9:502",
    "unit_address": 1,
    "profile": "janitza_umg96",
    "poll_s": 1.0,
    "stale_s": 3.0,
    "timeout_s": 1.0,
    "delivery": "auto",
    "names": ["p_w"],
}
HEAD = encode_document(Kind.HEADER, 0, 0.0, WRITTEN)
LINE = encode_document(Kind.LINE, 1, 0.0, {"endpoint": "tcp://10.0.0.9:502", "gap_s": None, "device": ""})
METER = encode_document(Kind.DEVICE, 1, 0.0, PLAIN_METER)


def value(*numbers: float, quality: int = 0) -> bytes:
    return encode(Kind.PUBLISHED, 1, 1.0, pack_values(numbers, [quality] * len(numbers)))


FOREIGN: dict[str, tuple[bytes, str]] = {
    "a header that is a list": (encode(Kind.HEADER, 0, 0.0, b"[1]"), "no JSON object"),
    "a header that is no JSON": (encode(Kind.HEADER, 0, 0.0, b"\xff{"), "no JSON"),
    "a later version": (encode_document(Kind.HEADER, 0, 0.0, {**WRITTEN, "version": 2}), "expected the header"),
    "a header without a part": (encode_document(Kind.HEADER, 0, 0.0, {"version": 1}), "expected the header"),
    "a speed of 0": (encode_document(Kind.HEADER, 0, 0.0, {**WRITTEN, "speed": 0}) + LINE + METER, "speed is 0.0"),
    "a speed that is no number": (
        encode_document(Kind.HEADER, 0, 0.0, {**WRITTEN, "speed": math.nan}) + LINE + METER,
        "speed is nan",
    ),
    "a line nested deep": (HEAD + encode(Kind.LINE, 1, 0.0, b"[" * 100_000), "no JSON"),
    "a server without a line": (
        HEAD + encode_document(Kind.DEVICE, 1, 0.0, {**PLAIN_METER, "protocol": "opcua"}),
        "device M has no line",
    ),
    "more values than points": (HEAD + LINE + METER + value(1.0, 2.0), "2 values for the 1 points of M"),
    "fewer values than points": (HEAD + LINE + METER + value(), "0 values for the 1 points of M"),
    "a quality that there is not": (HEAD + LINE + METER + value(1.0, quality=77), "77 is not a valid Quality"),
    "a count of lost records cut off": (HEAD + encode(Kind.LOST, 0, 1.0, b""), "cannot be played"),
    "a device that never said anything": (HEAD + LINE + METER, "Nothing was published"),
    "a time of another world": (
        encode_document(Kind.HEADER, 0, 0.0, {**WRITTEN, "utc": "2026-01-01T00:00:00+00:00"})
        + LINE
        + METER
        + encode(Kind.PUBLISHED, 1, 9e12, pack_values((1.0,), (0,))),
        "9000000000000.000 s UTC",
    ),
    "half a surrogate pair": (
        HEAD + LINE + encode(Kind.DEVICE, 1, 0.0, b'{"id": "\\ud800"}'),
        "surrogates not allowed",
    ),
    "points that are called otherwise later": (
        HEAD + LINE + METER + value(1.0) + encode_document(Kind.DEVICE, 1, 1.0, {**PLAIN_METER, "names": ["a", "b"]}),
        "come out of the bytes otherwise",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_recording_that_is_whole_and_not_ours_is_told_and_never_a_traceback(name: str, tmp_path: Path) -> None:
    records, said = FOREIGN[name]
    path = tmp_path / "foreign.field"
    path.write_bytes(MAGIC + Packer().chunk([records]))
    for more in ((), ("--json",)):
        found = CliRunner().invoke(field_replay, [str(path), *more])
        assert found.exception is None or isinstance(found.exception, SystemExit), repr(found.exception)
        assert more or said in found.output


def test_a_small_recording_cannot_be_unpacked_to_fill_the_memory(tmp_path: Path) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(80)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    path = tmp_path / "bomb.field"
    path.write_bytes(
        MAGIC + Packer().chunk([HEAD]) + struct.pack(">II", len(packed) | 1 << 31, zlib.crc32(packed)) + packed
    )
    found = CliRunner().invoke(field_replay, [str(path)])
    assert "a chunk unpacks to more than" in found.output
