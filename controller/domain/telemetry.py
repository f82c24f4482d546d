"""Fleet telemetry as the site file states it: where the broker is, who we are there, and how much we send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Broker:
    """An MQTT broker and how this site proves who it is; the files are read when a connection is made."""

    host: str
    port: int
    tls: bool
    credentials_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Sparkplug:
    """The edge node: ``live_s`` between live values; the rest is about what is stored.

    A stored message is forgotten ``settle_s`` after it was sent, if the primary host was there all the time;
    ``backlog_bytes_per_s`` is what the backlog may use of the link.
    """

    broker: Broker
    group: str
    node: str
    primary_host: str
    live_s: float
    settle_s: float
    backlog_bytes_per_s: float
