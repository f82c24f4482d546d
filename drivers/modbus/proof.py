"""By what a device shows which one it is: registers that tell its kind, and the one that tells its serial number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from drivers.modbus.codec import READ_HOLDING, READ_INPUT, Request, read_registers
from drivers.modbus.decode import BlockReader
from drivers.modbus.link import LinkError
from drivers.modbus.values import wire_order
from drivers.profile import PointSpec, Profile
from drivers.profile_checks import registers

UNHEARD_MAX = 2
"""So many requests for a serial number that was never told may go unanswered; then it is not asked for any more."""


class IdentityError(Exception):
    """Something else than the configured device answers."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A read; ``fault`` takes the data of its answer and says why another device gave it, or nothing.

    ``may_lack``: a device that refuses for good has nothing to tell there, and ``fault`` gets no data.
    """

    request: Request
    fault: Callable[[bytes], str]
    may_lack: bool = False


class Proofs:
    """What one unit is asked to show which one it is (``asked``), and what is known of its serial number."""

    def __init__(self, unit: int, serial: str) -> None:
        """``serial`` is the number of the site file; empty: the first one that is read counts."""
        self.asked: tuple[Proof, ...] = ()
        self._unit = unit
        self._serial = serial
        self._unheard = 0

    def use(self, profile: Profile, kinds: Iterable[tuple[Request, BlockReader]]) -> None:
        """Ask by this table from now on; ``kinds`` read the points of its identity."""
        asked = [Proof(request, partial(_other_kind, profile, reader)) for request, reader in kinds]
        spec = profile.serial
        if spec is not None and self._unheard < UNHEARD_MAX:
            function = READ_INPUT if spec.table == "input" else READ_HOLDING
            request = read_registers(self._unit, function, spec.address, registers(spec))
            asked.append(Proof(request, partial(self._other_serial, spec, profile.byte_order), may_lack=True))
        self.asked = tuple(asked)

    def unheard(self, proof: Proof, fault: LinkError) -> None:
        """``proof`` was not answered: who is silent about a number that nobody knows is not asked for it for ever."""
        if proof.may_lack and not self._serial and fault.reason in ("timeout", "lost"):
            self._unheard += 1
            if self._unheard >= UNHEARD_MAX:
                self.asked = tuple(other for other in self.asked if other is not proof)

    def _other_serial(self, spec: PointSpec, byte_order: str, data: bytes) -> str:
        """A device that tells no number may be any."""
        found = serial_text(spec, data, byte_order)
        if self._serial and found != self._serial:
            return f"identity: serial number reads {found!r}; expected {self._serial!r}"
        self._serial = found
        return ""


def _other_kind(profile: Profile, reader: BlockReader, data: bytes) -> str:
    raw = reader.take(data, 0.0, 0.0).raw
    for spec in reader.block.points:
        expected = profile.identity[spec.name]
        if raw[spec.name] * spec.scale + spec.offset != expected:
            return f"identity: {spec.name} reads {raw[spec.name]:g}; expected {expected:g}"
    return ""


def serial_text(spec: PointSpec, data: bytes, byte_order: str) -> str:
    """The serial number that ``data`` holds, as a site file writes it; empty when the device has none."""
    if spec.type == "string":
        text = data.split(b"\0", 1)[0].decode("ascii", "replace").strip()
        return "".join(sign if sign.isprintable() else "?" for sign in text)
    number = int.from_bytes(wire_order(data, spec, byte_order), "big")
    return str(number) if number and number not in spec.missing else ""
