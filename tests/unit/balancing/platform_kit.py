"""A site with a platform, and the events and commands that its tests say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.balancing.admission import Now
from controller.balancing.command import Command, Kind, Part, Step
from controller.config.loader import parse_site
from controller.domain.site import Site

UTC_S = 1.8e9
NOW = Now(UTC_S, 1000.0)
DSO = "flexibility:dso"
TSO = "tso:tso"
PLATFORM = """
platform:
  kind: openadr3
  url: https://127.0.0.1:1/openadr3
  credentials: /etc/gridedge/credentials
  contract: {export_kw: 2000}
  issuers:
    - {id: dso, program: "Flexible connection", service: flexibility, subjects: [export, import, BAT1, PVA]}
    - {id: tso, program: "Balancing", service: tso, subjects: [BAT1, interface], max_kw: 500, max_kvar: 3000,
       commands_per_h: 10}
"""
_SITE = Path(__file__).parents[3] / "site_configs" / "demo_primary.yaml"


def site_text(platform: str = PLATFORM) -> str:
    """The demo site with a platform, and export and import limits for it to narrow."""
    text = _SITE.read_text(encoding="utf-8")
    assert "platform: {kind: none}" in text
    return text.replace("platform: {kind: none}", platform).replace(
        "\nlimits:\n", "\nlimits:\n  export_kw: 20000\n  import_kw: 20000\n"
    )


SITE: Site = parse_site(site_text(), "with a platform")


def limit(
    w: float = 3e6, *, subject: str = "export", start_s: float = 0.0, lasts_s: float = 1800.0, **more: Any
) -> Command:
    """One limit of the distribution operator for half an hour from now on."""
    part = Part(Kind.LIMIT, subject, (Step(UTC_S + start_s, UTC_S + start_s + lasts_s, w),))
    return command(part, **more)


def set_point(
    w: float = -1e5, *, subject: str = "BAT1", start_s: float = 0.0, lasts_s: float = 900.0, **more: Any
) -> Command:
    """One set point of a unit."""
    part = Part(Kind.SET_POINT, subject, (Step(UTC_S + start_s, UTC_S + start_s + lasts_s, w),))
    return command(part, **more)


def support(
    var: float = 1.5e6, *, subject: str = "interface", start_s: float = 0.0, lasts_s: float = 900.0, **more: Any
) -> Command:
    """Voltage support that the transmission operator asks for."""
    part = Part(Kind.REACTIVE, subject, (Step(UTC_S + start_s, UTC_S + start_s + lasts_s, var),))
    return command(part, **{"issuer": TSO, **more})


def command(*parts: Part, **more: Any) -> Command:
    """A command issued a moment ago."""
    given = {"id": "e1", "issuer": DSO, "counter": 7, "issued_utc_s": UTC_S - 1.0, "priority": 5, **more}
    return Command(parts=parts, **given)


def event(**more: Any) -> dict[str, Any]:
    """An OpenADR event: an export limit in three half hours (User Guide 8.10.1, dynamic operating envelope)."""
    return {
        "id": "e1",
        "objectType": "EVENT",
        "createdDateTime": "2027-01-15T07:00:00Z",
        "modificationDateTime": "2027-01-15T07:59:00Z",
        "programID": "p1",
        "eventName": "envelope",
        "priority": 2,
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "EXPORT_CAPACITY_LIMIT", "units": "KW"}
        ],
        "intervalPeriod": {"start": "2027-01-15T08:00:00Z", "duration": "PT30M", "randomizeStart": "PT5M"},
        "intervals": [
            {"id": k, "payloads": [{"type": "EXPORT_CAPACITY_LIMIT", "values": [kw]}]}
            for k, kw in enumerate((5000.0, 3500.5, 0))
        ],
        **more,
    }


PROGRAM = {"id": "p1", "objectType": "PROGRAM", "programName": "Flexible connection"}
