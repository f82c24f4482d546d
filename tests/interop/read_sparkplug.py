"""pysparkplug reads the golden session, compares it with the words beside the bytes, and prints a rebirth request.

Run by ``sparkplug_decoder.sh`` in an environment of its own; the schema in that library is the one of Eclipse Tahu.
"""

import json
import sys
from pathlib import Path

import pysparkplug as sp

KINDS = {"NBIRTH": sp.NBirth, "DBIRTH": sp.DBirth, "NDATA": sp.NData, "DDATA": sp.DData, "DDEATH": sp.DDeath,
         "NDEATH": sp.NDeath}  # fmt: skip


def said(words: str) -> dict[str, str]:
    """``alias=3 string_value=a b`` as a mapping; what has no ``=`` belongs to the value before it."""
    out: dict[str, str] = {}
    last = ""
    for word in words.split(" "):
        key, mark, value = word.partition("=")
        if mark and key.isidentifier():
            out[key], last = value, key
        else:
            out[last] += " " + word
    return out


def main() -> int:
    births: dict[str, object] = {}
    values = 0
    for packet in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        _, _, kind, *who = packet["topic"].split("/")
        device = "/".join(who)
        found = KINDS[kind].decode(bytes.fromhex(packet["hex"]), birth=births.get(device))
        if kind.endswith("BIRTH"):
            births[device] = found
        if kind == "NDEATH":
            assert f"long_value={found.bd_seq_metric.value}" in packet["metrics"][0], packet
            continue
        for metric, words in zip(getattr(found, "metrics", ()), packet["metrics"], strict=True):
            expected = said(words)
            value = next((v for k, v in expected.items() if k.endswith("_value")), "None")
            assert str(metric.value) == value, (metric, words)
            assert metric.is_historical == (expected.get("is_historical") == "True"), (metric, words)
            values += 1
    rebirth = sp.Metric(timestamp=1, name="Node Control/Rebirth", datatype=sp.DataType.BOOLEAN, value=True)
    request = sp.NCmd(timestamp=1, metrics=(rebirth,)).encode(include_dtypes=True)
    print(request.hex())
    print(f"pysparkplug {sp.__version__} read {values} values as they are meant", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
