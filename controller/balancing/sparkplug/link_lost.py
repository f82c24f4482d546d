"""The one way in which a link to a broker fails."""

from __future__ import annotations


class LinkLost(OSError):
    """The broker or the primary host is not there, or not as it must be; says why."""
