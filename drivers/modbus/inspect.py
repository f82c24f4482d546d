"""What a Modbus device shows to an engineer: the registers behind each point, and what its connection has counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from drivers.modbus.blocks import Block
from drivers.modbus.session import Counters
from drivers.profile_checks import registers


def raw_words(blocks: Iterable[tuple[Block, bytes]]) -> dict[str, str]:
    """Registers of every point of the answered blocks, in wire order: ``4000 1F40``."""
    out: dict[str, str] = {}
    for block, data in blocks:
        for spec in block.points:
            start = 2 * (spec.address - block.address)
            out[spec.name] = data[start : start + 2 * registers(spec)].hex(" ", 2).upper()
    return out


def counts(session: Counters, polls: Mapping[str, int]) -> dict[str, int]:
    """Polls, and what happened below them; refused frames also by reason."""
    out = dict(polls)
    for item in fields(session):
        value = getattr(session, item.name)
        if isinstance(value, int):
            out[item.name] = value
    rejected = dict(session.rejected)
    out["rejected"] = sum(rejected.values())
    return out | {f"rejected: {reason}": number for reason, number in rejected.items()}
