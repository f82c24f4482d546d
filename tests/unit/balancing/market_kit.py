"""The demo site with a market, and a projection of too much export for half an hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import uftp_kit as kit

from controller.config.loader import parse_site
from controller.domain.site import Site
from controller.planning.projection import LimitOutlook, Projection
from controller.planning.settlement import Proof

_SITE = Path(__file__).parents[3] / "site_configs" / "demo_primary.yaml"


def market_text(listen: str = "127.0.0.1:8443", key: str = "/etc/gridedge/market.key", **changes: str) -> str:
    """The block of the site file; ``changes`` put other values in the place of the participant's."""
    fields = {
        "domain": kit.AGR,
        "endpoint": "http://127.0.0.1:9/agr",
        "public_key": kit.KEYS[kit.AGR][0],
        "max_kw": "5000",
        "units": "[BAT1]",
        "delivery": "controller",
    } | changes
    one = ", ".join(f"{key}: {value}" for key, value in fields.items())
    return f"""
market:
  domain: {kit.DSO}
  congestion_point: {kit.POINT}
  timezone: {kit.ZONE}
  listen: {listen}
  signing_key: {key}
  participants:
    - {{{one}}}
"""


def site_text(block: str) -> str:
    return _SITE.read_text(encoding="utf-8") + block


def site_with(block: str) -> Site:
    """Everything of the site file checked."""
    return parse_site(site_text(block), "with a market")


def projection(n_w: int, excess_w: float = 0.8e6) -> Projection:
    """Quarter hours 50…57 of the day (ISPs 50…57 begin there): 53 and 54 are too much."""
    values = np.array([-1e6] * 3 + [excess_w] * 2 + [-1e6] * 3)
    export = LimitOutlook("export", "high", (values > 0.0).astype(float), values, np.ones(n_w))
    return Projection(kit.NOON_ISP, (export,))


def proof(curtailed_wh: float = 0.0, taken_wh: float = 0.0, measured_w: float | None = None) -> Proof:
    """The same of every unit at any time."""
    return Proof(lambda *_: curtailed_wh, lambda *_: taken_wh, lambda *_: measured_w)
