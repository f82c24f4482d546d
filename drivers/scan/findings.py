"""What a scan found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.sunspec.curves import Curve


@dataclass(frozen=True, slots=True)
class Match:
    """A profile that fits what a unit answers; ``score`` counts evidence, ``why`` names it."""

    profile: str
    score: int
    why: str


@dataclass(frozen=True, slots=True)
class UnitFound:
    """One Modbus unit: texts about itself, SunSpec models and where they are, curves, profiles that fit, best first."""

    address: int
    texts: Mapping[str, str]
    sunspec_base: int | None = None
    models: tuple[tuple[int, str, int], ...] = ()
    matches: tuple[Match, ...] = ()
    remarks: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True, slots=True)
class OpcUaFound:
    """One OPC UA server: endpoints as (url, policy, mode, certificate fingerprint), namespaces, profiles that fit."""

    url: str
    endpoints: tuple[tuple[str, str, str, str], ...]
    namespaces: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    remark: str = ""


@dataclass(slots=True)
class Findings:
    """Everything at one host, or at one ``endpoint`` (as in a site file, with these ``options``).

    ``units`` stand by port (0 for a serial line); ``remarks`` says what was not done and why.
    """

    host: str
    endpoint: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    units: dict[int, list[UnitFound]] = field(default_factory=dict)
    opcua: list[OpcUaFound] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """True when nothing answered."""
        return not self.opcua and not any(self.units.values())
