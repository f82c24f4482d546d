"""Which TCP ports a run may use."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from controller.domain.site import Site
from simulators.endpoints import address_of

OFFSETS = (0, *range(1000, 40_000, 1000))


class NoFreePorts(OSError):
    """No offset leaves every port of the site free."""


def free_offset(site: Site, offsets: Sequence[int] = OFFSETS) -> tuple[int, str]:
    """The first offset at which every port of the site is free, and the first address that was taken before (or "").

    Another process may still take one in the meantime; then the simulator says so. Raises :class:`NoFreePorts`.
    """
    addresses = sorted({address_of(device) for device in site.devices if not device.endpoint.startswith("rtu:")})
    first_taken = ""
    for offset in offsets:
        if any(port + offset > 65535 for _, port in addresses):
            break
        taken = next((f"{host}:{port + offset}" for host, port in addresses if not _free(host, port + offset)), "")
        if not taken:
            return offset, first_taken
        first_taken = first_taken or taken
    raise NoFreePorts(
        f"port {first_taken} is taken, and so is one at every offset tried; expected {len(addresses)} free ports from "
        f"{addresses[0][0]}:{addresses[0][1]} on: end what holds them (ss -ltnp shows it)"
    )


def claimed_offset(site: Site) -> tuple[int, str, socket.socket]:
    """As :func:`free_offset`; no other demo of this machine gets the same one before the socket is closed.

    A simulator takes seconds to listen: without a claim, two demos that start together would choose the same ports.
    """
    first_taken, offsets = "", list(OFFSETS)
    while True:
        offset, taken = free_offset(site, offsets)
        first_taken = first_taken or taken
        claim = _claim(offset)
        if claim is not None:
            return offset, first_taken, claim
        host, port = address_of(site.devices[0])
        first_taken = first_taken or f"{host}:{port + offset}"
        offsets = [other for other in offsets if other > offset]


def _claim(offset: int) -> socket.socket | None:
    """A name that ends with the process that holds it; None when another demo has it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0gridedge-demo-ports-{offset}")
    except OSError:
        claim.close()
        return None
    return claim


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
