"""Modbus: codec, block planning, session, device."""
