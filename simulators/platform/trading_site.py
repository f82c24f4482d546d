"""The site file of a day on which the station trades: the site's own, with a market and where its platform listens."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.balancing.uftp.endpoint import PATH
from controller.balancing.uftp.wire import new_keys
from controller.domain.site import Site
from simulators.market.model import Market

DSO = "dso.example.com"
OPERATOR = "cro.example.com"
POINT = "ea1.2026-01.com.example:{}"
TIMES: Mapping[str, float] = {
    "plan_min": 5, "horizon_h": 10, "offer_min": 8, "lead_min": 5, "again_min": 20, "stale_s": 1800,
}  # fmt: skip
"""As the file has them: at 144 × the time for offers is four seconds of the machine."""
POLL_S = 120.0
REPORT_S = 900.0


@dataclass(frozen=True, slots=True)
class Party:
    """One side of the market: its domain, keys (public and secret) and port on 127.0.0.1."""

    domain: str
    public: str
    secret: str
    port: int

    @property
    def endpoint(self) -> str:
        """Where its messages go."""
        return f"http://127.0.0.1:{self.port}{PATH}"


@dataclass(frozen=True, slots=True)
class Parties:
    """Everybody: us, the reference operator, and the participants by the scenario's names."""

    dso: Party
    operator: Party
    dealers: Mapping[str, Party]


def parties(market: Market) -> Parties:
    """New keys and free ports for everybody who takes part in a market."""
    names = list(dict.fromkeys(offer.participant for offer in market.offers))
    domains = [DSO, OPERATOR, *(f"{slug(name)}.example.com" for name in names)]
    made = [Party(domain, *new_keys(), port) for domain, port in zip(domains, free_ports(len(domains)), strict=True)]
    return Parties(made[0], made[1], dict(zip(names, made[2:], strict=True)))


def slug(name: str) -> str:
    """A name as part of a domain."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody has now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def write_site(
    original: Path,
    site: Site,
    market: Market,
    everybody: Parties,
    platform: Mapping[str, Any],
    national: Mapping[str, Any] | None,
    folder: Path,
    weather: Mapping[str, Any] | None = None,
) -> Path:
    """The file, in ``folder`` under the original's name.

    ``platform`` are the keys of that block which change, ``national`` is the block of that name, if there is one, and
    ``weather`` where its forecast comes from.
    """
    document = yaml.safe_load(original.read_text("utf-8"))
    key = folder / "market.key"
    key.write_text(everybody.dso.secret, "ascii")
    key.chmod(0o600)
    document["platform"] |= {**platform, "poll_s": POLL_S, "report_s": REPORT_S}
    document["market"] = {
        "domain": everybody.dso.domain,
        "congestion_point": POINT.format(site.name.replace("_", "-")),
        "listen": f"127.0.0.1:{everybody.dso.port}",
        "signing_key": str(key),
        "by_portfolio": True,
        "shortfall_eur_per_mwh": market.shortfall_eur_per_mwh,
        **TIMES,
        "participants": [_operator(everybody.operator), *_participants(site, market, everybody)],
    }
    if national is not None:
        document["national"] = dict(national)
    if weather is not None:
        document["weather"] = {**document.get("weather", {}), "forecast": dict(weather)}
    path = folder / original.name
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), "utf-8")
    return path


def _operator(party: Party) -> dict[str, Any]:
    return {"domain": party.domain, "role": "CRO", "endpoint": party.endpoint, "public_key": party.public}


def _participants(site: Site, market: Market, everybody: Parties) -> Sequence[dict[str, Any]]:
    rated_w = {unit.id: unit.p_rated_w for unit in site.units}
    out = []
    for name, party in everybody.dealers.items():
        units = list(dict.fromkeys(offer.asset for offer in market.offers if offer.participant == name))
        out.append(
            {
                "domain": party.domain,
                "endpoint": party.endpoint,
                "public_key": party.public,
                "max_kw": sum(rated_w[unit] for unit in units) / 1e3,
                "units": units,
                "delivery": "as_needed",
            }
        )
    return out
