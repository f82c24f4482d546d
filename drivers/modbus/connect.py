"""Opening of the connection that an endpoint names."""

from __future__ import annotations

import asyncio
import socket

from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link, LinkError


async def connect(endpoint: Endpoint, deadline: float, user_timeout_s: float, outstanding_max: int = 1) -> Link:
    """Open a connection before ``deadline`` (loop time); :class:`LinkError` says why there is none."""
    if endpoint.tls or endpoint.serial is not None:
        raise LinkError(f"no connection to {endpoint}: only TCP is served", "refused")
    loop = asyncio.get_running_loop()
    link = Link(endpoint.rtu, outstanding_max)
    try:
        async with asyncio.timeout_at(deadline):
            transport, _ = await loop.create_connection(lambda: link, endpoint.host, endpoint.port)
    except TimeoutError:
        fault = LinkError(f"no connection to {endpoint} within the time-out", "timeout")
    except OSError as error:
        fault = LinkError(f"no connection to {endpoint}: {error.strerror or error}", "refused")
    else:
        tune(transport.get_extra_info("socket"), user_timeout_s)
        return link
    link.abort(fault)  # the connection may have come up in the very moment of the time-out
    raise fault


def tune(sock: socket.socket, user_timeout_s: float) -> None:
    """Find a dead peer in seconds also when it is beyond the next switch, and send small frames at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(1000.0 * user_timeout_s)))
