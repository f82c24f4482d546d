"""Opening of the connection that an endpoint names."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link, LinkError
from drivers.modbus.ration import RationedSocket
from drivers.modbus.serial_port import GAP_S, open_port
from drivers.modbus.sockets import AT_ONCE, SocketTransport
from drivers.modbus.tls import CURVES, EXPIRES_SOON, Tls, TlsError, explain, load_tls
from drivers.names import addresses

_log = structlog.get_logger()
_DAY = timedelta(days=1)
_Socket = TypeVar("_Socket", bound=socket.socket)

MakeLink = Callable[[bool, int, float | None], Link]
"""Makes a link: whether it frames as RTU, how many requests may be outstanding, the longest gap inside a frame."""


class Connector:
    """Opens connections to one endpoint, one after the other, and warns of certificates that expire soon."""

    def __init__(
        self,
        endpoint: Endpoint,
        user_timeout_s: float,
        options: Mapping[str, str] | None = None,
        utc: Callable[[], datetime] | None = None,
        make_link: MakeLink = Link,
    ) -> None:
        """``user_timeout_s``: how long TCP waits for an acknowledgement before it gives the peer up, seconds.

        TLS needs ``options`` (files, see the site file) and ``utc``, which says whether our certificate has expired.
        ``make_link`` makes what receives, one for every connection.
        """
        self._endpoint = endpoint
        self._options = options or {}
        self._utc = utc
        self._make_link = make_link
        self._user_timeout_s = user_timeout_s
        self._warned: dict[str, datetime] = {}
        self._curve = 0

    async def connect(self, deadline: float, outstanding_max: int = 1) -> Link:
        """A connection before ``deadline`` (loop time); :class:`LinkError` says why there is none."""
        endpoint = self._endpoint
        serial = endpoint.serial
        link = self._make_link(endpoint.rtu, outstanding_max, None if serial is None else GAP_S)
        try:
            async with asyncio.timeout_at(deadline):
                await self._open(link)
        except TimeoutError:
            fault = LinkError(f"no connection to {endpoint} within the time-out", "timeout")
        except TlsError as error:
            fault = LinkError(f"no connection to {endpoint}: {error}", "untrusted")
        except ssl.SSLError as error:
            fault = LinkError(f"no connection to {endpoint}: {explain(error)}", "untrusted")
        except OSError as error:
            fault = LinkError(f"no connection to {endpoint}: {_said(error)}", "refused")
        else:
            return link
        link.abort(fault)  # the connection may have come up in the very moment of the time-out
        raise fault

    async def _open(self, link: Link) -> None:
        endpoint, loop = self._endpoint, asyncio.get_running_loop()
        if endpoint.serial is not None:
            open_port(endpoint.host, endpoint.serial, link, loop)
            return
        if not endpoint.tls:
            SocketTransport(await _connected(endpoint, self._user_timeout_s, socket.socket), link, loop)
            return
        await self._open_tls(link)

    async def _open_tls(self, link: Link) -> None:
        if self._utc is None:
            raise TlsError("nobody says what time it is")
        tls = load_tls(self._options, self._utc(), CURVES[self._curve])
        self._warn("ours", tls.own_expiry, self._utc())
        transport = await self._shake_hands(link, tls)
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        peer_expiry = tls.check_peer(shown)
        self._warn("the device's", peer_expiry, self._utc())
        _end_at(link, "our", tls.own_expiry - self._utc())
        _end_at(link, "the device's", peer_expiry - self._utc())

    async def _shake_hands(self, link: Link, tls: Tls) -> asyncio.Transport:
        rationed = partial(RationedSocket, asked=lambda: link.asked)
        sock = await _connected(self._endpoint, self._user_timeout_s, rationed)
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: link, sock=sock, ssl=tls.context, server_hostname=tls.server_name or self._endpoint.host
            )
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionError):
            self._curve = (self._curve + 1) % len(CURVES)
            raise
        sock.begin_rationing()
        return transport

    def _warn(self, whose: str, expiry: datetime, now: datetime) -> None:
        """Say once a day that a certificate expires soon."""
        last = self._warned.get(whose)
        if expiry - now > EXPIRES_SOON or (last is not None and now - last < _DAY):
            return
        self._warned[whose] = now
        until = expiry.isoformat(timespec="minutes")
        _log.warning("certificate.expiring", endpoint=str(self._endpoint), whose=whose, until=until)


def _said(error: OSError) -> str:
    """Why, in the system's words; asyncio says only that the call failed, and to which address."""
    if error.errno is not None and error.strerror is not None and error.strerror.startswith("Connect call failed"):
        return os.strerror(error.errno)
    return error.strerror or str(error) or "the other side broke it off"


def _end_at(link: Link, whose: str, left: timedelta) -> None:
    """A connection may stand for years: it ends with the certificates that it began with."""
    fault = LinkError(f"{whose} certificate expired while the connection stood", "untrusted")
    timer = asyncio.get_running_loop().call_later(left.total_seconds(), link.abort, fault)
    link.closed.add_done_callback(lambda _: timer.cancel())


async def _connected(endpoint: Endpoint, user_timeout_s: float, make: Callable[[int, int], _Socket]) -> _Socket:
    """A connected socket, which ``make`` makes, to the first address of the host that takes one."""
    loop = asyncio.get_running_loop()
    fault = OSError("the host has no address")
    for family, address in await addresses(endpoint.host, endpoint.port):
        sock = make(family, socket.SOCK_STREAM)
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


def tune(sock: socket.socket, user_timeout_s: float) -> None:
    """Find a dead peer in seconds also when it is beyond the next switch; send small frames at once, never late."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(1000.0 * user_timeout_s)))
