"""Telemetry as the station process starts it: what to run, and where records go."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from controller.balancing.drain import Drain, DrainPolicy
from controller.balancing.sparkplug.unsettled import Unsettled, Waiting
from controller.domain.site import Site
from controller.ports import Clock

WIRE_BYTES = 2.5
"""On the wire per byte in the outbox, where messages are compressed JSON: 2.3 for a period of 120 points."""
RETRY_S = 2.0
PACKET_S = 0.2
"""Longest that a packet of backlog holds live data up, at the backlog's own rate."""


class Telemetry:
    """One site's telemetry. Raises ValueError when the extra ``mqtt`` is not installed."""

    def __init__(self, site: Site, clock: Clock, folder: Path) -> None:
        if site.sparkplug is None:
            raise ValueError(f"site {site.name} has no telemetry; expected a block sparkplug")
        try:
            from controller.balancing.sparkplug.link import SparkplugLink
        except ModuleNotFoundError as missing:
            if missing.name not in ("aiomqtt", "paho"):
                raise
            raise ValueError(
                "sparkplug: the MQTT client is not installed; expected the extra 'mqtt': pip install 'gridedge[mqtt]'"
            ) from missing
        self._settings = site.sparkplug
        self._clock = clock
        self._link = SparkplugLink(site, site.sparkplug, clock, folder)

    def take(self, record: Mapping[str, Any]) -> None:
        """A record of the control process; never waits."""
        self._link.take(record)

    def tasks(self, waiting: Waiting) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What to run for ever, by name; ``waiting`` is the outbox."""
        settle_s = self._settings.settle_s if self._settings.primary_host else 0.0
        rate = self._settings.backlog_bytes_per_s / WIRE_BYTES
        policy = DrainPolicy(backlog_bytes_per_s=rate, packet_bytes=max(int(rate * PACKET_S), 1), retry_s=RETRY_S)
        drain = Drain(Unsettled(waiting, self._clock, settle_s), self._link, self._clock, policy)
        return {"telemetry": self._link.run, "telemetry drain": drain.run}
