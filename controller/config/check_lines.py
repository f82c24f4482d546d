"""Do the ways in which devices are reached fit their protocol, their security and each other?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema_units import DeviceModel

_SCHEME = re.compile(r"([a-z.+]+)://")
_SERIAL_QUERY = re.compile(
    r"(?!.*(baud|parity|stop)=.*\1=)((^|&)(baud=(1200|2400|4800|9600|19200|38400|57600|115200)|parity=[NEO]|stop=[12]))*"
)
OPCUA_ONLY = frozenset({"policy", "username", "password_file"})
SCHEMES = {
    "modbus": {"tcp", "rtu+tcp", "modbus+tls", "rtu"},
    "opcua": {"opc.tcp"},
}


def check_lines(draft: Draft) -> None:
    """Every device's endpoint and options, then those of one line against each other."""
    first: dict[str, DeviceModel] = {}
    for at in draft.devices:
        _check_scheme(draft, at)
        _check_security(draft, at)
        _check_same(draft, at, first.setdefault(line_of(at.item.endpoint), at.item))


def scheme_of(endpoint: str, protocol: str) -> str:
    """``tcp`` where a Modbus endpoint names none."""
    found = _SCHEME.match(endpoint)
    return found[1] if found else "tcp" if protocol == "modbus" else ""


def line_of(endpoint: str) -> str:
    """What endpoints of one connection have in common: host and port, or the serial port."""
    scheme = _SCHEME.match(endpoint)
    rest = endpoint[scheme.end() :] if scheme else endpoint
    return rest.partition("?")[0] if endpoint.startswith("rtu:") else rest.lower()


def _check_scheme(draft: Draft, at: At[DeviceModel]) -> None:
    device, path = at.item, (*at.path, "endpoint")
    scheme = scheme_of(device.endpoint, device.protocol)
    if scheme not in SCHEMES[device.protocol]:
        expected = "opc.tcp://host:port/path" if device.protocol == "opcua" else "host:port"
        draft.report(path, show(device.endpoint), expected, f"protocol is {device.protocol}")
    elif scheme == "rtu" and not _SERIAL_QUERY.fullmatch(device.endpoint.partition("?")[2]):
        expected = "rtu:///dev/ttyX?baud=19200&parity=E&stop=1"
        message = "baud 1200 to 115200 in the usual steps, parity N, E or O, stop 1 or 2; 8 data bits always"
        draft.report(path, show(device.endpoint), expected, message)
    port = re.search(r":(\d+)(/|$)", device.endpoint.partition("://")[2] or device.endpoint)
    if scheme != "rtu" and port is not None and not 1 <= int(port[1]) <= 65_535:
        draft.report(path, show(device.endpoint), "a port 1…65535", "")


def _check_security(draft: Draft, at: At[DeviceModel]) -> None:
    given, path = at.item.options.model_dump(exclude_none=True), (*at.path, "options")
    if at.item.protocol == "opcua":
        _check_opcua_security(draft, path, given)
    elif at.item.endpoint.startswith("modbus+tls://"):
        _check_tls(draft, path, given)
    elif given:
        draft.report(path, ", ".join(given), "options left out", f"{at.item.endpoint} is not modbus+tls://")


def _check_tls(draft: Draft, path: Path, given: Mapping[str, str]) -> None:
    if not given.keys() & {"ca_file", "server_certificate_file"}:
        message = "without one of them any device could answer"
        draft.report(path, "neither", "ca_file, server_certificate_file or both", message)
    for key in ("certificate_file", "private_key_file"):
        if key not in given:
            draft.report(path, f"no {key}", f"{key}, an absolute path", "Modbus/TCP Security asks both sides to prove")
    foreign = sorted(given.keys() & OPCUA_ONLY)
    if foreign:
        draft.report(path, ", ".join(foreign), "left out", "only OPC UA has it")


def _check_opcua_security(draft: Draft, path: Path, given: Mapping[str, str]) -> None:
    """Nothing (an open connection), or all three files: a client that takes any certificate encrypts to anybody."""
    if not given:
        return
    for key in ("certificate_file", "private_key_file", "server_certificate_file"):
        if key not in given:
            message = "a secured OPC UA connection pins the server and proves who we are"
            draft.report(path, f"no {key}", f"{key}, an absolute path", message)
    foreign = sorted(given.keys() & {"ca_file", "server_name"})
    if foreign:
        draft.report(path, ", ".join(foreign), "left out", "an OPC UA server is pinned by server_certificate_file")
    if ("username" in given) != ("password_file" in given):
        draft.report(path, "only one of them", "username and password_file, or neither", "")


def _check_same(draft: Draft, at: At[DeviceModel], first: DeviceModel) -> None:
    """Devices on one line are units of one connection."""
    mine, other = at.item, first
    if mine.protocol != "modbus" or mine is other:
        return
    if mine.endpoint.removeprefix("tcp://") != other.endpoint.removeprefix("tcp://"):
        message = f"device {other.id} uses the same line; all its devices share one connection"
        draft.report((*at.path, "endpoint"), show(mine.endpoint), show(other.endpoint), message)
    elif mine.options != other.options:
        message = f"device {other.id} shares the connection"
        draft.report((*at.path, "options"), "other options", f"those of {other.id}", message)
