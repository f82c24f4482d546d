"""Which profile fits a unit: its identity, and whether what stands behind its table is plausible.

Evidence counts: an identity that reads as it must 10, a mains frequency 3, each voltage 1, a power 1; an identity of 0
or 1, which many registers of many devices read, 1. A profile whose identity reads otherwise, or whose registers are
refused, does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.domain.measurement import Measurement
from drivers.modbus.blocks import plan_blocks
from drivers.modbus.codec import READ_HOLDING, READ_INPUT, ExceptionAnswer
from drivers.modbus.decode import BlockReader, measure_blocks
from drivers.profile import PointSpec, Profile
from drivers.profile_loader import load_profile, profile_ids
from drivers.scan.findings import Match
from drivers.scan.probe import NoAnswerError, Probe
from drivers.sunspec.chain import Chain

SCORE_MIN = 4
COMMON = (0.0, 1.0)
FUNCTIONS = {"holding": READ_HOLDING, "input": READ_INPUT}
_METERS = (201, 202, 203, 204, 211, 212, 213, 214)
_INVERTERS = (101, 102, 103, 111, 112, 113)


def sunspec_profile(chain: Chain) -> str | None:
    """The profile for a chain of models: the newest way to command it that it has, else measuring only."""
    models = {found.id for found in chain.models if len(chain.find(found.id)) == 1}  # of two it is not known which
    if {701, 704} <= models:
        return "sunspec_battery" if 713 in models else "sunspec_der"
    if models & set(_INVERTERS):
        return "sunspec_storage" if 124 in models and 123 not in models else "sunspec_inverter"
    return "sunspec_meter" if models & set(_METERS) else None


async def matching_profiles(probe: Probe, unit: int) -> tuple[Match, ...]:
    """Profiles with fixed registers that fit the unit, best first."""
    found = []
    for profile in _fixed_profiles():
        match = await _match(probe, unit, profile)
        if match is not None and match.score >= SCORE_MIN:
            found.append(match)
    return tuple(sorted(found, key=lambda match: (-match.score, match.profile)))


def _fixed_profiles() -> Iterable[Profile]:
    profiles = (load_profile(name) for name in profile_ids())
    return (profile for profile in profiles if profile.protocol == "modbus" and profile.template is None)


async def _match(probe: Probe, unit: int, profile: Profile) -> Match | None:
    telling = [spec for spec in profile.points if spec.name in profile.identity or _is_evidence(spec)]
    try:
        points = await _read(probe, unit, profile, telling)
    except (ExceptionAnswer, NoAnswerError):
        return None
    for name, expected in profile.identity.items():
        if points[name].value != expected:
            return None
    return _weighed(profile, points)


async def _read(probe: Probe, unit: int, profile: Profile, specs: list[PointSpec]) -> dict[str, Measurement]:
    blocks = []
    for block in plan_blocks(specs, profile.read):
        data = await probe.registers(unit, FUNCTIONS[block.table], block.address, block.count)
        blocks.append(BlockReader(block, profile.byte_order).take(data, 0.0, 0.0))
    return measure_blocks(blocks)


def _is_evidence(spec: PointSpec) -> bool:
    return spec.name in ("p_w", "f_hz") or spec.unit == "V"


def _weighed(profile: Profile, points: Mapping[str, Measurement]) -> Match:
    evidence: list[tuple[int, str]] = [
        (10 if value not in COMMON else 1, f"{name} reads {value:g}") for name, value in profile.identity.items()
    ]
    for name, answer in points.items():
        if not answer.usable:
            continue
        if name == "f_hz" and 45.0 <= answer.value <= 65.0:
            evidence.append((3, f"{answer.value:.2f} Hz"))
        elif name.startswith("u_") and 50.0 <= answer.value <= 500e3:
            evidence.append((1, f"{name} {answer.value:.1f} V"))
        elif name == "p_w":
            evidence.append((1, f"{answer.value:.0f} W"))
    return Match(profile.id, sum(weight for weight, _ in evidence), ", ".join(text for _, text in evidence))
