"""What a protocol adapter sees of a simulated device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from drivers.profile import Profile


class SimulatedDevice(Protocol):
    """Physics behind a protocol server. Values are SI in the house's sign, keyed by the profile's point names."""

    @property
    def id(self) -> str:
        """Id of the device in the site file."""
        ...

    @property
    def profile(self) -> Profile:
        """Table that the adapter encodes with."""
        ...

    @property
    def silent(self) -> bool:
        """True while the device is to be unreachable: connections stay open and nothing is answered."""
        ...

    def values(self) -> Mapping[str, float]:
        """What every point reads now (sensor error, quantisation and latency included); NaN = not implemented."""
        ...

    def write(self, point: str, value: float) -> bool:
        """Take a write to one point; False refuses it (Modbus exception 3, OPC UA BadOutOfRange)."""
        ...
