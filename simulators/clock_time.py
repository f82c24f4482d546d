"""Clock times in scenario files and on the command line."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator


def parse_clock(text: str) -> float:
    """Seconds after midnight of ``HH:MM`` or ``HH:MM:SS``; ValueError for anything else."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        raise ValueError(f"clock time is {text!r}; expected HH:MM, in quotes")
    hour, minute, second = (*map(int, parts), 0)[:3]
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"clock time is {text!r}; expected 00:00 … 23:59")
    return hour * 3600.0 + minute * 60.0 + second


def _from_file(value: object) -> object:
    return parse_clock(value) if isinstance(value, str) else value


ClockTime = Annotated[float, BeforeValidator(_from_file)]
