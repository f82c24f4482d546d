"""What was measured, beside what the profile and the site file say, and who signs for it. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from controller.domain.site import Device
from controller.domain.unit import Unit
from controller.field.commission import ACKNOWLEDGED, READ_BACK, Measured

FORMAT = 1
LEASE_SLACK_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison; ``verdict`` is ``agrees``, ``differs`` or ``not measured``."""

    what: str
    measured: str
    expected: str
    verdict: str


def compare(device: Device, unit: Unit | None, measured: Measured, fails: str) -> tuple[Finding, ...]:
    """Measured against the site file (times, ramp) and the profile (``fails``)."""
    answering = measured.answering
    findings = [
        Finding(
            "answers",
            f"{answering.good} of {answering.polls} polls good",
            "all of them",
            _verdict(answering.good == answering.polls),
        ),
        Finding(
            "slowest answer",
            _seconds(answering.longest_s),
            f"at most half of timeout_s, {device.timeout_s / 2.0:g} s",
            _verdict(answering.longest_s <= device.timeout_s / 2.0, answering.longest_s),
        ),
    ]
    return (*findings, *(_unit_findings(device, unit, measured, fails) if unit is not None else ()))


def _unit_findings(device: Device, unit: Unit, measured: Measured, fails: str) -> Iterable[Finding]:
    step, silence = measured.step, measured.silence
    latency_s = step.latency_s if step is not None else math.nan
    allowed_s = unit.actuator.latency_s + unit.actuator.tau_p_s + device.poll_s
    yield Finding(
        "first movement after the write",
        _seconds(latency_s),
        f"at most latency_s + tau_p_s + poll_s, {allowed_s:g} s",
        _verdict(latency_s <= allowed_s, latency_s),
    )
    ramp = step.ramp_w_per_s if step is not None else math.nan
    slowest = 0.5 * _visible_ramp(device, unit, step.asked_w if step is not None else 0.0)
    yield Finding(
        "ramp",
        f"{ramp / 1e3:.3g} kW/s" if math.isfinite(ramp) else "-",
        f"at least half of what ramps and tau_p_s of the site file let one see, {slowest / 1e3:.3g} kW/s",
        _verdict(ramp >= slowest, ramp),
    )
    behaviour = silence.behaviour if silence is not None else "-"
    yield Finding("when we fall silent", behaviour, fails, _verdict(behaviour == fails, 0.0 if silence else math.nan))
    if silence is not None and silence.behaviour != "holds_last":
        limit_s = unit.fail_safe.lease_s + device.poll_s + LEASE_SLACK_S
        yield Finding(
            "lets go after",
            _seconds(silence.after_s),
            f"at most lease_s + poll_s + {LEASE_SLACK_S:g} s, {limit_s:g} s",
            _verdict(silence.after_s <= limit_s, silence.after_s),
        )
    if measured.left:
        known = math.nan if measured.left == ACKNOWLEDGED else 0.0
        verdict = _verdict(measured.left == READ_BACK, known)
        yield Finding("left at its fail-safe set point", measured.left, READ_BACK, verdict)


def _visible_ramp(device: Device, unit: Unit, asked_w: float) -> float:
    """Mean slope from 10 to 90 % of a step: the ramp, or what a first-order lag and the polls leave of a small step.

    A lag needs 2.2 time constants for that stretch (ln 9), a poll hides up to its period.
    """
    ramp_w_per_s = min(unit.actuator.ramp_up_w_per_s, unit.actuator.ramp_down_w_per_s)
    stretch_s = math.log(9.0) * unit.actuator.tau_p_s + device.poll_s
    return min(ramp_w_per_s, 0.8 * asked_w / stretch_s)


def _verdict(agrees: bool, measured: float = 0.0) -> str:
    return "not measured" if math.isnan(measured) else "agrees" if agrees else "differs"


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if math.isfinite(value) else "-"


def record(device: Device, measured: Measured, findings: Iterable[Finding], about: Mapping[str, str]) -> dict[str, Any]:
    """The whole record; ``sha256`` is over everything else in it, as JSON with sorted keys and without spaces."""
    document: dict[str, Any] = {
        "format": FORMAT,
        **about,
        "device": device.id,
        "endpoint": device.endpoint,
        "unit_address": device.unit_address,
        "profile": device.profile,
        "commands_unit": device.unit,
        "findings": [asdict(finding) for finding in findings],
        "measured": _without_nan(asdict(measured)),
    }
    return document | {"sha256": digest(document)}


def digest(document: Mapping[str, Any]) -> str:
    """Hash of a record without its own ``sha256``; whoever keeps the hash can tell a changed record."""
    content = {key: value for key, value in document.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_text(document: Mapping[str, Any]) -> str:
    """The record for people to read and sign."""
    lines = [
        f"Commissioning of {document['device']} at site {document['site']}",
        f"{document['profile']} at {document['endpoint']}, unit {document['unit_address']}",
        f"by {document['by']}, {document['utc']}, gridedge {document['version']}",
        f"site file sha256 {document['site_sha256']}",
        "",
        *(f"{f['verdict']:>12}  {f['what']}: {f['measured']} ({f['expected']})" for f in document["findings"]),
        "",
        *(f"note: {note}" for note in document["measured"]["notes"]),
        *(f"wrote: {line}" for line in document["measured"]["wrote"]),
        f"record sha256 {document['sha256']}",
        "",
        "Signature: ______________________",
    ]
    return "\n".join(lines) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
