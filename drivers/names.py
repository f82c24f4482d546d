"""Addresses of hosts that site files give by name, looked up so that a dead name service holds nobody up.

``getaddrinfo`` of the system cannot be given up: behind a dead resolver it sits in its thread for half a minute. In
the loop's own threads, of which there are few, the retries of one device would soon leave none for the others, and the
process would not end before they do. So every name has a thread of its own, one at a time, which nobody waits for at
the end; an answer that comes after its asker has gone is kept for the next one.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
"""A family and an address of it, for ``connect``."""

KEEP_S = 5.0
"""How long addresses are kept for whoever comes next; the next connection is tried within that time."""

_Lookup = asyncio.Future[list[Address] | OSError]
_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], _Lookup]] = WeakKeyDictionary()


async def addresses(host: str, port: int) -> list[Address]:
    """Every address of ``host``, to be tried in this order; OSError says why there is none. May wait for ever."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return [(family, (host, port))]
    loop = asyncio.get_running_loop()
    lookups = _lookups.setdefault(loop, {})
    lookup = lookups.get((host, port))
    if lookup is None:
        lookup = lookups[host, port] = loop.create_future()
        lookup.add_done_callback(lambda done: _keep(loop, lookups, (host, port), done))
        threading.Thread(target=_look_up, args=(loop, lookup, host, port), name=f"where is {host}", daemon=True).start()
    found = await asyncio.shield(lookup)
    if isinstance(found, OSError):
        raise found
    return found


def _keep(
    loop: asyncio.AbstractEventLoop, lookups: dict[tuple[str, int], _Lookup], key: tuple[str, int], done: _Lookup
) -> None:
    """Good addresses for a while, no fault at all."""
    if done.cancelled() or isinstance(done.result(), OSError):
        lookups.pop(key, None)
    else:
        loop.call_later(KEEP_S, lookups.pop, key, None)


def _look_up(loop: asyncio.AbstractEventLoop, lookup: _Lookup, host: str, port: int) -> None:
    """In a thread."""
    found: list[Address] | OSError
    try:
        found = [(family, at) for family, _, _, _, at in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        found = error
    except ValueError:  # of the codec for names beyond ASCII, or a NUL in it
        found = OSError(f"{host!r} cannot be the name of a host")
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(_settle, lookup, found)


def _settle(lookup: _Lookup, found: list[Address] | OSError) -> None:
    if not lookup.done():
        lookup.set_result(found)
