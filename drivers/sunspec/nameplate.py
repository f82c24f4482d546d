"""The serial number of a SunSpec device: what tells one inverter from another one of the same model.

Common model (1), point SN: 16 registers of text at offset 50 from the model's ID (pysunspec2, ``model_1.json``).
"""

from __future__ import annotations

from drivers.profile import PointSpec
from drivers.sunspec.chain import Chain

COMMON = 1
SERIAL_AT, SERIAL_REGISTERS = 50, 16


def serial_point(chain: Chain) -> PointSpec | None:
    """Where the serial number stands; None when the device has no common model, or a short one."""
    found = chain.find(COMMON)
    if not found or found[0].end < found[0].address + SERIAL_AT + SERIAL_REGISTERS:
        return None
    address = found[0].address + SERIAL_AT
    return PointSpec("serial_number", "string", "1", "SunSpec 1 SN", address=address, length=SERIAL_REGISTERS)
