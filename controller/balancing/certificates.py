"""Certificates of our own that the station's links show or trust: what is wrong with them, before a link fails of it.

Looked at when the station starts and every hour, by the machine's own time of day, as TLS does. What is renewed on the
disk counts at the next look; a key that signs messages (UFTP) has no expiry and is not looked at.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from controller.domain.site import Site
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

SOON = timedelta(days=30)
AGAIN = timedelta(days=1)
LOOK_S = 3600.0
"""Machine seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A file of the site file: ``key`` is where it stands there. With ``key_file`` it is ours, else an authority's."""

    key: str
    file: str
    key_file: str | None = None


def shown_by(site: Site) -> tuple[Shown, ...]:
    """Every certificate that the links of a site show or trust, in the order of the site file's blocks."""
    found: list[Shown] = []
    links = {
        "platform": None if site.platform is None else site.platform.link,
        "market": None if site.market is None else site.market.wire,
        "sparkplug": None if site.sparkplug is None else site.sparkplug.broker,
        "weather.forecast": site.weather_service,
    }
    for block, link in links.items():
        if link is not None and link.cert_file is not None:
            found.append(Shown(f"{block}.cert_file", link.cert_file, link.key_file))
        if link is not None and link.ca_file is not None:
            found.append(Shown(f"{block}.ca_file", link.ca_file))
    if site.tender is not None and site.tender.ca_file is not None:
        found.append(Shown("national.ca_file", site.tender.ca_file))
    return tuple(found)


def until(shown: Shown, now: datetime) -> datetime:
    """When it can be used no more. Raises ValueError or OSError when it cannot be used at all.

    A chain of ours ends with the first of it that does; a file of authorities with the last, for nobody knows which one
    of them vouches.
    """
    chain = x509.load_pem_x509_certificates(Path(shown.file).read_bytes())
    ends = [one.not_valid_after_utc for one in chain]
    if shown.key_file is None:
        return max(ends)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(shown.file, shown.key_file)
    begins = max(one.not_valid_before_utc for one in chain)
    if begins > now:
        raise ValueError(f"it begins on {begins:%Y-%m-%d %H:%M} UTC; expected one that has begun")
    return min(ends)


class CertificateWatch:
    """Says once a day what is about to end, has ended, or cannot be used. ``clock`` is the machine's."""

    def __init__(self, shown: Sequence[Shown], clock: Clock) -> None:
        self._shown = tuple(shown)
        self._clock = clock
        self._told: dict[str, tuple[str, datetime]] = {}

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name; nothing where there is nothing to look at."""
        return {"certificates": self.run} if self._shown else {}

    async def run(self) -> None:
        """Look by the period until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Read every file once."""
        now = self._clock.utc()
        for shown in self._shown:
            about = {
                "key": shown.key,
                "file": shown.file,
                "whose": "an authority's" if shown.key_file is None else "ours",
            }
            try:
                end = until(shown, now)
            except (OSError, ValueError) as error:
                if self._is_news(shown, "unusable", now):
                    _log.error("certificate.unusable", **about, reason=f"{type(error).__name__}: {error}")
                continue
            when = end.isoformat(timespec="minutes")
            if end - now > SOON:
                self._told.pop(shown.key, None)
            elif end > now and self._is_news(shown, "expiring", now):
                _log.warning("certificate.expiring", **about, until=when)
            elif end <= now and self._is_news(shown, "expired", now):
                _log.error("certificate.expired", **about, until=when)

    def _is_news(self, shown: Shown, what: str, now: datetime) -> bool:
        told, at = self._told.get(shown.key, ("", now))
        if told == what and now - at < AGAIN:
            return False
        self._told[shown.key] = what, now
        return True
