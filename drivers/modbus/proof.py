"""By what a device shows which one it is: registers that tell its kind, and the one that tells its serial number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.modbus.codec import Request
from drivers.modbus.values import wire_order
from drivers.profile import PointSpec

UNHEARD_MAX = 2
"""So many requests for a serial number that was never told may go unanswered; then it is not asked for any more."""


class IdentityError(Exception):
    """Something else than the configured device answers."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A read whose answer ``check`` looks at; it raises :class:`IdentityError`.

    ``may_lack``: a device that refuses for good has nothing to tell there, and ``check`` gets no data.
    """

    request: Request
    check: Callable[[bytes], None]
    may_lack: bool = False


def serial_text(spec: PointSpec, data: bytes, byte_order: str) -> str:
    """The serial number that ``data`` holds, as a site file writes it; empty when the device has none."""
    if spec.type == "string":
        text = data.split(b"\0", 1)[0].decode("ascii", "replace").strip()
        return "".join(sign if sign.isprintable() else "?" for sign in text)
    number = int.from_bytes(wire_order(data, spec, byte_order), "big")
    return str(number) if number and number not in spec.missing else ""
