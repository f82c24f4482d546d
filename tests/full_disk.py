"""A disk that takes nothing more, and takes everything again: the kernel itself refuses, whoever writes."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(pid: int | None = None) -> Iterator[None]:
    """While it lasts no file takes a byte from the process ``pid``, or from this one; pipes and sockets do.

    It is a limit of the process (RLIMIT_FSIZE), so it needs no rights and fills nothing: what is written is refused
    with EFBIG where a full disk says ENOSPC. Half a write never succeeds.
    """
    whose = os.getpid() if pid is None else pid
    before = resource.prlimit(whose, resource.RLIMIT_FSIZE)
    resource.prlimit(whose, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(whose, resource.RLIMIT_FSIZE, before)
