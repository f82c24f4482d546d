"""Opening of the connection that an endpoint names."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link, LinkError
from drivers.modbus.sockets import SocketTransport


async def connect(endpoint: Endpoint, deadline: float, user_timeout_s: float, outstanding_max: int = 1) -> Link:
    """Open a connection before ``deadline`` (loop time); :class:`LinkError` says why there is none."""
    if endpoint.tls or endpoint.serial is not None:
        raise LinkError(f"no connection to {endpoint}: only TCP is served", "refused")
    link = Link(endpoint.rtu, outstanding_max)
    try:
        async with asyncio.timeout_at(deadline):
            sock = await _connected(endpoint, user_timeout_s)
    except TimeoutError:
        raise LinkError(f"no connection to {endpoint} within the time-out", "timeout") from None
    except OSError as error:
        raise LinkError(f"no connection to {endpoint}: {error.strerror or error}", "refused") from error
    SocketTransport(sock, link, asyncio.get_running_loop())
    return link


async def _connected(endpoint: Endpoint, user_timeout_s: float) -> socket.socket:
    """A connected socket to the first address of the host that takes one."""
    loop = asyncio.get_running_loop()
    fault = OSError("the host has no address")
    for family, address in await _addresses(endpoint):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            tune(sock, user_timeout_s)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            fault = error
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            return sock
    raise fault


async def _addresses(endpoint: Endpoint) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Numbers need no name service, which may be slow or gone."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, endpoint.host)
            return [(family, (endpoint.host, endpoint.port))]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def tune(sock: socket.socket, user_timeout_s: float) -> None:
    """Find a dead peer in seconds also when it is beyond the next switch, and send small frames at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(1000.0 * user_timeout_s)))
