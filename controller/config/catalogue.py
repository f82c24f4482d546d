"""What device profiles offer, asked through a protocol: the configuration knows no driver."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol, cast

GROUP = "gridedge.profiles"
NAME = "catalogue"


class ProfileCatalogue(Protocol):
    """Names that device profiles know; every answer is None for an unknown profile."""

    def points(self, profile_id: str) -> set[str] | None:
        """Points that a poll may return."""
        ...

    def commands(self, profile_id: str) -> set[str] | None:
        """Commands that it takes: ``generation_w_max``, ``consumption_w_max``, ``p_w``, ``q_var``."""
        ...

    def fails(self, profile_id: str) -> str | None:
        """``reverts_to_value``, ``holds_last`` or ``fails_open``: what the device does when set points stop."""
        ...

    def tells_serial(self, profile_id: str) -> bool | None:
        """True when the serial number of such a device can be read."""
        ...

    def protocol(self, profile_id: str) -> str | None:
        """``modbus`` or ``opcua``."""
        ...


def installed_catalogue() -> ProfileCatalogue | None:
    """The catalogue that is installed as entry point ``gridedge.profiles:catalogue``, or None when there is none."""
    for point in entry_points(group=GROUP, name=NAME):
        return cast(ProfileCatalogue, point.load()())
    return None
