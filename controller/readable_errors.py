"""What a person at a command can put right is said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def readable_errors(*more: type[Exception]) -> Iterator[None]:
    """Faults of files and of what stands in them, and ``more``, end the command with status 1 and their own words."""
    caught: tuple[type[Exception], ...] = (OSError, ValueError, *more)
    try:
        yield
    except caught as error:
        raise click.ClickException(str(error)) from error
