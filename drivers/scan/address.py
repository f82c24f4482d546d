"""Where a tool is to look: an address of the network, or the endpoint and options that a site file would give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from drivers.modbus.endpoint import Endpoint

ADDRESS = "ADDRESS"
EXPECTED = "host, host:port, [v6]:port or an endpoint as in a site file, such as rtu:///dev/ttyUSB0?baud=9600"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_FILES = {
    "certificate_file": "Our certificate (PEM), for modbus+tls.",
    "private_key_file": "Its key, unless it is in the same file.",
    "ca_file": "Who signs the certificates of the devices.",
    "server_certificate_file": "The device's own certificate, pinned.",
}
_F = TypeVar("_F", bound=Callable[..., Any])


def parse_host(text: str) -> tuple[str, int | None]:
    """Host and port of an address without a scheme; click.BadParameter for anything else."""
    match = _HOST.fullmatch(text)
    if match is None or (match[2] is not None and not 1 <= int(match[2]) <= 65535):
        raise click.BadParameter(f"{text!r}; expected {EXPECTED}", param_hint=ADDRESS)
    return match[1].strip("[]"), int(match[2]) if match[2] is not None else None


def parse_endpoint(text: str, port: int) -> Endpoint:
    """An endpoint as in a site file, or ``host`` with ``port`` unless it names another; click.BadParameter."""
    if "://" not in text:
        host, named = parse_host(text)
        return Endpoint(host, named or port)
    try:
        return Endpoint.parse(text)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint=ADDRESS) from fault


def certificate_options(command: _F) -> _F:
    """The options of a device that is reached by Modbus/TCP Security, under the names of the site file."""
    for name, said in reversed(_FILES.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, type=click.Path(path_type=Path, dir_okay=False), help=said)(command)
    return click.option("--server-name", help="The name in the device's certificate, if it is not the host.")(command)


def options_of(endpoint: Endpoint, given: Mapping[str, Path | str | None]) -> dict[str, str]:
    """The options of a device from those of the command line; click.UsageError when they do not fit the endpoint."""
    options = {name: str(value) for name, value in given.items() if value is not None}
    has_anchor = "ca_file" in options or "server_certificate_file" in options
    if endpoint.tls and not ("certificate_file" in options and has_anchor):
        raise click.UsageError(
            "with modbus+tls both sides prove who they are; expected --certificate-file and "
            "--ca-file or --server-certificate-file"
        )
    if options and not endpoint.tls:
        raise click.UsageError(f"{', '.join(options)} given for {endpoint.text}; expected a modbus+tls://… address")
    return options
