"""The serial number of a SunSpec device: what tells one inverter from another one of the same model.

Common model (1), point SN: 16 registers of text at offset 50 from the model's ID (pysunspec2, ``model_1.json``).
"""

from __future__ import annotations

from drivers.modbus.codec import READ_HOLDING, Request, read_registers
from drivers.sunspec.chain import Chain

COMMON = 1
SERIAL_AT, SERIAL_REGISTERS = 50, 16


def serial_request(unit: int, chain: Chain) -> Request | None:
    """The read that brings the serial number; None when the device has no common model, or a short one."""
    found = chain.find(COMMON)
    if not found or found[0].end < found[0].address + SERIAL_AT + SERIAL_REGISTERS:
        return None
    return read_registers(unit, READ_HOLDING, found[0].address + SERIAL_AT, SERIAL_REGISTERS)


def serial_of(data: bytes) -> str:
    """The serial number in the answer; empty when the device has none."""
    text = data.split(b"\0", 1)[0].decode("ascii", "replace").strip()
    return "".join(sign if sign.isprintable() else "?" for sign in text)
