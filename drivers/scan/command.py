"""``gridedge scan``: what answers at an address."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from drivers.modbus.endpoint import Endpoint
from drivers.scan.address import ADDRESS, certificate_options, options_of, parse_endpoint, parse_host
from drivers.scan.findings import Findings
from drivers.scan.modbus import scan_units
from drivers.scan.opcua import scan_opcua
from drivers.scan.probe import NoAnswerError, Probe, nothing
from drivers.scan.report import as_json, as_text
from drivers.tape.tape import Tape

MODBUS_PORT, TLS_PORT, OPCUA_PORT = 502, 802, 4840
OPCUA_TIMEOUTS = 4.0  # hello, channel, session: one answer each


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How carefully to look; all times in seconds."""

    units: tuple[int, ...]
    timeout_s: float
    pause_s: float
    within_s: float
    tape: Tape | None = None
    certificates: Mapping[str, str] = field(default_factory=dict)


@click.command()
@click.argument("address", metavar=ADDRESS)
@click.option(
    "--unit", "units", default="1", show_default=True, help="Modbus unit ids, such as 1, 1-247 or 1,3,100-110."
)
@click.option(
    "--timeout-s", default=0.5, show_default=True, type=click.FloatRange(0.05, 10), help="Wait for one answer."
)
@click.option(
    "--pause-ms", default=20.0, show_default=True, type=click.FloatRange(0, 5000), help="Rest after each answer."
)
@click.option(
    "--within-s", default=120.0, show_default=True, type=click.FloatRange(1, 3600), help="End after this long."
)
@certificate_options
@click.option("--json", "as_lines", is_flag=True, help="Print one JSON object instead of text.")
@click.option(
    "--record-field",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Record every byte of the Modbus connection in this file, for `gridedge field-replay`.",
)
def scan(
    address: str,
    *,
    units: str,
    timeout_s: float,
    pause_ms: float,
    within_s: float,
    as_lines: bool,
    record_field: Path | None,
    **certificates: Path | str | None,
) -> None:
    """Say what answers at ADDRESS: Modbus units and what they are, SunSpec models, OPC UA endpoints; propose devices.

    ADDRESS is HOST or HOST:PORT, or an endpoint as in a site file: modbus+tls://HOST (with certificates),
    rtu+tcp://HOST:PORT, rtu:///dev/ttyUSB0?baud=9600&parity=N. Reads only, one request at a time. Without a port it
    looks at 502, 802 and 4840. Exit status 1: nothing answers.
    """
    place = parse_endpoint(address, MODBUS_PORT)
    files = options_of(place, certificates)
    options = ScanOptions(parse_units(units), timeout_s, pause_ms / 1e3, within_s, certificates=files)
    where = place if "://" in address else parse_host(address)
    try:
        findings = asyncio.run(_look(where, options, record_field))
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if as_lines:
        click.echo(json.dumps(as_json(findings), indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(findings))
    sys.exit(1 if findings.empty else 0)


def parse_units(text: str) -> tuple[int, ...]:
    """Unit ids from ``1,3,100-110``, in order and once each; click.BadParameter for anything else."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (1, 0)
        if not 0 <= first <= last <= 255:
            raise click.BadParameter(f"{text!r}; expected unit ids of 0 to 255, such as 1, 1-247 or 1,3,100-110")
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


async def _look(where: Endpoint | tuple[str, int | None], options: ScanOptions, record_field: Path | None) -> Findings:
    """As :func:`look` or :func:`look_at`, recorded if so wished; OSError when the recording cannot be written."""
    if record_field is None:
        return await (look_at(where, options) if isinstance(where, Endpoint) else look(*where, options))
    with closing(Tape(record_field, asyncio.get_running_loop().time)) as tape:
        return await _look(where, replace(options, tape=tape), None)


async def look(host: str, port: int | None, options: ScanOptions) -> Findings:
    """Everything that answers at ``host``: at ``port``, or at the usual ports when that is None."""
    findings = Findings(host)
    opcua_s = min(OPCUA_TIMEOUTS * options.timeout_s, 0.25 * options.within_s)  # kept for it
    until_s = asyncio.get_running_loop().time() + options.within_s - opcua_s
    await _modbus(findings, Endpoint(host, MODBUS_PORT if port is None else port), options, until_s, asked=port)
    if port is None or not findings.units:
        server = await scan_opcua(host, OPCUA_PORT if port is None else port, opcua_s)
        findings.opcua += [server] if server is not None else []
    if port is None and await _listens(host, TLS_PORT, options.timeout_s):
        findings.remarks.append(
            f"port 802 (Modbus/TCP Security) listens; look into it with modbus+tls://{host} and certificates"
        )
    return findings


async def look_at(endpoint: Endpoint, options: ScanOptions) -> Findings:
    """The Modbus units at one endpoint of whatever kind, and if there are none, why."""
    findings = Findings(endpoint.host, endpoint.text, options.certificates)
    until_s = asyncio.get_running_loop().time() + options.within_s
    await _modbus(findings, endpoint, options, until_s, asked=endpoint.port)
    return findings


async def _modbus(
    findings: Findings, endpoint: Endpoint, options: ScanOptions, until_s: float, *, asked: int | None
) -> None:
    """``asked``: the port that somebody named, and wants to know about; None when it is only one of the usual ones."""
    probe = Probe(
        endpoint,
        options.certificates,
        timeout_s=options.timeout_s,
        pause_s=options.pause_s,
        until_s=until_s,
        note=nothing if options.tape is None else options.tape.noter(endpoint.text),
    )
    try:
        await probe.connect()
        units, finished = await scan_units(probe, options.units, findings.remarks)
    except NoAnswerError as fault:
        findings.remarks += [str(fault)] if asked is not None else []
        return
    finally:
        await probe.aclose()
    if units:
        findings.units[endpoint.port] = units
    elif not finished:
        return
    elif endpoint.serial is not None:
        findings.remarks.append("no unit of those asked answers; check baud, parity, the wires A and B, and --unit")
    else:
        findings.remarks.append(f"port {endpoint.port} listens, but no Modbus unit of those asked answers")


async def _listens(host: str, port: int, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
