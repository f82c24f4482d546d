"""One simulated device: its share of the instruments, its control registers, and how it is failing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.profile import Profile
from simulators.units.control_block import ControlBlock
from simulators.units.meter import MeterBank


@dataclass(slots=True)
class Clockwork:
    """The world's time, shared with its devices."""

    now_s: float = 0.0


class PlantDevice:
    """Implements :class:`simulators.device.SimulatedDevice`. ``block`` is None for a meter."""

    def __init__(
        self,
        device_id: str,
        profile: Profile,
        meters: MeterBank,
        channels: slice,
        fixed: Mapping[str, float],
        block: ControlBlock | None,
        clock: Clockwork,
    ) -> None:
        self._id = device_id
        self._profile = profile
        self._meters = meters
        self._channels = channels
        self._names = [channel.name.split(".")[-1] for channel in meters.channels[channels]]
        self._fixed = dict(fixed)
        self._block = block
        self._clock = clock
        self._remaining = _remaining_points(profile)
        self._held: dict[str, float] | None = None
        self.silent = False
        self.killed = False

    @property
    def id(self) -> str:
        """Id of the device in the site file."""
        return self._id

    @property
    def profile(self) -> Profile:
        """Table of its points."""
        return self._profile

    @property
    def block(self) -> ControlBlock | None:
        """Its control registers; None for a meter."""
        return self._block

    @property
    def channel_names(self) -> list[str]:
        """Measured points, in the order of :meth:`measured`."""
        return self._names

    def measured(self) -> list[float]:
        """Measured points only, as the registers give them."""
        if self._held is not None:
            return [self._held[name] for name in self._names]
        out: list[float] = self._meters.read()[self._channels].tolist()
        return out

    def registers(self) -> Mapping[str, float]:
        """Settings and set points as they read now; empty for a meter."""
        if self._block is None:
            return {}
        self._block.at(self._clock.now_s)
        return self._block.registers

    def values(self) -> Mapping[str, float]:
        """Everything that it shows now, SI by point name."""
        if self._held is not None:
            return self._held
        out = dict(self._fixed)
        out.update(zip(self._names, self.measured(), strict=True))
        out.update(self.registers())
        if self._block is not None:
            for point, command in self._remaining.items():
                out[point] = self._block.remaining_s(command, self._clock.now_s)
        return out

    def write(self, point: str, value: float) -> bool:
        """Take a write; False refuses it."""
        return self._block is not None and self._block.write(point, value, self._clock.now_s)

    def freeze(self, frozen: bool) -> None:
        """Repeat what it shows now until thawed."""
        if not frozen:
            self._held = None
        elif self._held is None:
            self._held = dict(self.values())


def _remaining_points(profile: Profile) -> dict[str, str]:
    """Read-only points that count a lease down (``…_rem_s`` beside ``…_rvrt_s``), with their command."""
    names = {spec.name for spec in profile.points}
    leases = {spec.lease_point: spec.name for spec in profile.commands if spec.lease_point is not None}
    pairs = {point.replace("_rvrt_s", "_rem_s"): name for point, name in leases.items() if point.endswith("_rvrt_s")}
    return {point: name for point, name in pairs.items() if point in names}
