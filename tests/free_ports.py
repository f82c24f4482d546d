"""Ports of the loopback for servers of tests: those that run beside each other never get the same."""

from __future__ import annotations

import itertools
import os
import socket

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_RANGE = range(10_000 + WORKER, 15_000, WORKERS)  # below the ports of the sites, and of what connects to them
_from = os.getpid() * 37 % len(_RANGE)  # another run on this machine begins elsewhere
_ports = itertools.cycle((*_RANGE[_from:], *_RANGE[:_from]))


def free_port() -> int:
    """A port that nobody listens on; every call gives another one, until all have had their turn."""
    return next(port for port in itertools.islice(_ports, len(_RANGE)) if is_free(port))


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
