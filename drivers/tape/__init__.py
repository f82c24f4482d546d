"""Recordings of the field: what went over every Modbus connection, byte by byte, and what was made of it."""
