"""The control process before everybody else on the box, as far as the system lets it.

Neither needs a capability: a service manager grants both by limits (RLIMIT_RTPRIO and RLIMIT_MEMLOCK). What is refused
is said, and the loop goes on without: its ticks are late whenever others want the core, and counted when they slip.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4  # <sys/mman.h> of Linux on x86-64 and ARM64
SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from the loop; CPython's own 5 ms would be the lateness of a tick."""


def come_first(priority: int) -> list[str]:
    """Real-time scheduling (SCHED_FIFO, ``priority`` 1 to 99) for this thread, and no page of the process swapped out.

    Threads and processes that are started later are ordinary ones. Returns what was refused, in words.
    """
    return [refusal for refusal in (_schedule(priority), _keep_pages()) if refusal]


def threads_give_way() -> None:
    """Let the loop interrupt the other threads of the process soon."""
    sys.setswitchinterval(SWITCH_S)


def _schedule(priority: int) -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as error:
        allowed = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        return f"SCHED_FIFO {priority}: {error.strerror}; RLIMIT_RTPRIO is {allowed}"
    return ""


def _keep_pages() -> str:
    """With a finite limit a later allocation would fail, which is worse than a page that has to be fetched."""
    allowed = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if allowed != resource.RLIM_INFINITY:
        return f"mlockall: RLIMIT_MEMLOCK is {allowed} bytes; expected unlimited"
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT):
        return f"mlockall: {os.strerror(ctypes.get_errno())}"
    return ""
