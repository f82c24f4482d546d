"""Modbus function 43/14, Read Device Identification; bytes in, bytes out.

MODBUS Application Protocol V1.1b3, clause 6.21: vendor, product code, revision and further texts of a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FUNCTION, MEI_TYPE = 0x2B, 0x0E
BASIC = 0x01
TEXT_MAX = 64
NAMES = {
    0x00: "vendor",
    0x01: "product_code",
    0x02: "revision",
    0x03: "vendor_url",
    0x04: "product_name",
    0x05: "model_name",
    0x06: "application",
}


@dataclass(frozen=True, slots=True)
class Identification:
    """Texts by name, and the object id to ask for next (None when this was all)."""

    texts: Mapping[str, str]
    more_from: int | None


def identification_request(object_id: int = 0) -> bytes:
    """The request for the basic objects from ``object_id`` on."""
    return bytes((FUNCTION, MEI_TYPE, BASIC, object_id))


def parse_identification(pdu: bytes) -> Identification | None:
    """What an answer says; None when it is not a whole and consistent one."""
    if len(pdu) < 7 or pdu[0] != FUNCTION or pdu[1] != MEI_TYPE:
        return None
    more, next_id, count = pdu[4], pdu[5], pdu[6]
    texts: dict[str, str] = {}
    at = 7
    for _ in range(count):
        if at + 2 > len(pdu) or at + 2 + pdu[at + 1] > len(pdu):
            return None
        object_id, size = pdu[at], pdu[at + 1]
        texts[NAMES.get(object_id, f"object_{object_id}")] = plain(pdu[at + 2 : at + 2 + size])
        at += 2 + size
    return Identification(texts, next_id if more == 0xFF else None) if at == len(pdu) else None


def plain(data: bytes) -> str:
    """A text from a device without anything that a terminal or a YAML file would obey."""
    text = data.decode("ascii", "replace").strip("\0 ")
    return "".join(sign if sign.isprintable() and sign not in "\"'\\�" else "?" for sign in text)[:TEXT_MAX]
