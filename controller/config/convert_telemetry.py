"""The telemetry block from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.schema import SiteFile
from controller.domain.telemetry import Broker, Sparkplug


def to_sparkplug(file: SiteFile) -> Sparkplug | None:
    """Telemetry by Sparkplug; None when the site sends none."""
    block = file.sparkplug
    if block is None:
        return None
    broker = Broker(
        host=block.host,
        port=block.port,
        tls=block.tls,
        credentials_file=block.credentials,
        ca_file=block.ca_file,
        cert_file=block.cert_file,
        key_file=block.key_file,
    )
    return Sparkplug(
        broker=broker,
        group=block.group,
        node=block.node or file.site.id,
        primary_host=block.primary_host or "",
        live_s=block.live_s,
        settle_s=block.settle_s,
        backlog_bytes_per_s=block.backlog_kbyte_per_s * 1e3,
    )
