"""What was found, as text with a block for the site file, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from drivers.profile_loader import load_profile
from drivers.scan.findings import Findings, OpcUaFound, UnitFound


def as_json(findings: Findings) -> dict[str, Any]:
    """The findings for programs."""
    units = [{"port": port, **asdict(unit)} for port, found in findings.units.items() for unit in found]
    return {
        "host": findings.host,
        "endpoint": findings.endpoint or None,
        "modbus": units,
        "opcua": [asdict(server) for server in findings.opcua],
        "remarks": findings.remarks,
        "devices": list(device_blocks(findings)),
    }


def as_text(findings: Findings) -> str:
    """The findings for people, and at the end what to put into the site file."""
    where = findings.endpoint or findings.host
    lines = [f"{where}:" if not findings.empty else f"{where}: nothing answers"]
    for port, units in findings.units.items():
        lines += [line for unit in units for line in _unit_lines(f"port {port}" if port else "line", unit)]
    lines += [line for server in findings.opcua for line in _opcua_lines(server)]
    lines += [f"note: {remark}" for remark in findings.remarks]
    blocks = list(device_blocks(findings))
    if blocks:
        lines += [
            "",
            "For the site file (give it a better id, and what it feeds or the unit that it commands):",
            "devices:",
        ]
        lines += blocks
    return "\n".join(lines)


def device_blocks(findings: Findings) -> Iterator[str]:
    """One line of YAML per device that a profile fits."""
    for port, units in findings.units.items():
        for unit in units:
            if unit.matches:
                yield _block(unit.matches[0].profile, findings.endpoint or f"{findings.host}:{port}", findings, unit)
    for server in findings.opcua:
        for profile in server.matches:
            name = re.sub(r"\W", "_", profile)
            yield f'  - {{id: {name}, protocol: opcua, endpoint: "{server.url}", profile: {profile}, {_use(profile)}}}'


def _block(profile: str, endpoint: str, findings: Findings, unit: UnitFound) -> str:
    stem = unit.texts.get("product_name") or unit.texts.get("product_code") or profile
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")[:30]
    name = name if name[:1].isalpha() else f"D_{name}"
    address = f"unit_address: {unit.address}, profile: {profile}"
    given = ", ".join(f'{key}: "{value}"' for key, value in findings.options.items())
    options = f", options: {{{given}}}" if given else ""
    serial = unit.texts.get("serial")
    options += f', serial_number: "{serial}"' if serial else ""
    head = f'id: {name}_{unit.address}, protocol: modbus, endpoint: "{endpoint}"'
    return f"  - {{{head}, {address}{options}, {_use(profile)}}}"


def _use(profile: str) -> str:
    """The key that a person has to fill in."""
    return "unit: UNIT" if load_profile(profile).commands else "feeds: {p_w: branch.BRANCH.p_w}"


def _unit_lines(place: str, unit: UnitFound) -> Iterator[str]:
    about = ", ".join(f"{name} {text}" for name, text in unit.texts.items() if text) or "says nothing about itself"
    yield f"  Modbus {place}, unit {unit.address}: {about}"
    if unit.sunspec_base is not None:
        yield f"    SunSpec at {unit.sunspec_base}:"
        yield from (f"      {model_id} {label} at {address}" for model_id, label, address in unit.models)
    for curve in unit.curves:
        corners = " ".join(f"({x:g}, {y:g})" for x, y in curve.corners) or "no corners"
        yield f"    curve {curve.model_id} {'in force' if curve.enabled else 'not enabled'}: {corners}"
    for match in unit.matches[:3]:
        yield f"    fits {match.profile}: {match.why}"
    if not unit.matches:
        yield "    fits no profile"
    yield from (f"    {remark}" for remark in unit.remarks)


def _opcua_lines(server: OpcUaFound) -> Iterator[str]:
    yield f"  OPC UA {server.url}"
    for url, policy, mode, certificate in server.endpoints:
        yield f"    {url} {policy} {mode} {certificate[:23]}".rstrip()
    yield from (f"    namespace {uri}" for uri in server.namespaces)
    if server.remark:
        yield f"    {server.remark}"
