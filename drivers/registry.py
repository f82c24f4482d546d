"""Which driver speaks to a device, and what a profile offers to whoever checks a site file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from controller.domain.measurement import Measurement
from controller.domain.site import Device
from controller.ports import Clock, FieldDevice, FieldGroup
from drivers.profile_loader import load_profile, profile_ids

if TYPE_CHECKING:
    from drivers.modbus.lines import Lines
    from drivers.tape.tape import Tape

Take = Callable[[Mapping[str, Mapping[str, Measurement]]], None]


def open_devices(devices: Iterable[Device], clock: Clock, tape: Tape | None = None) -> dict[str, FieldDevice]:
    """The drivers of all devices of a site, by id; Modbus units behind one endpoint share its one connection.

    ``tape`` records what goes over the connections. Raises like :func:`open_device`.
    """
    from drivers.modbus.lines import Lines

    lines = Lines(clock, tape=tape)
    return {device.id: open_device(device, clock, lines) for device in devices}


def open_device(device: Device, clock: Clock, lines: Lines | None = None) -> FieldDevice:
    """The driver of one device; nothing is connected before the first poll or write.

    Raises :class:`~drivers.profile_fields.ProfileError` for an unknown or refused profile and ``ValueError`` when the
    site file and the profile disagree about the protocol. The protocol's library is imported only when used.
    """
    profile = load_profile(device.profile)
    if profile.protocol != device.protocol:
        raise ValueError(
            f"device {device.id}: protocol is {device.protocol!r}; expected {profile.protocol!r}, "
            f"the protocol of profile {profile.id}"
        )
    if profile.template is not None:
        from drivers.sunspec.device import SunSpecDevice

        return SunSpecDevice(device, profile, clock, lines=lines)
    if device.protocol == "modbus":
        from drivers.modbus.device import ModbusDevice

        return ModbusDevice(device, profile, clock, lines=lines)
    from drivers.opcua.device import OpcUaDevice
    from drivers.opcua.security import load_security

    tape = lines.tape if lines is not None else None
    return OpcUaDevice(device, profile, clock, load_security(device.options), tape)


def can_group(link: FieldDevice) -> bool:
    """True for a device that :func:`make_group` can read together with others."""
    from drivers.modbus.device import ModbusDevice

    return type(link) is ModbusDevice  # kinds built on it do more at a poll than read


def make_group(links: Sequence[FieldDevice], clock: Clock, take: Take) -> FieldGroup:
    """Reads devices that :func:`can_group` accepts together; ``take`` gets what comes, by device id."""
    from drivers.modbus.device import ModbusDevice
    from drivers.modbus.fleet import Fleet

    return Fleet([link for link in links if isinstance(link, ModbusDevice)], clock, take)


class Catalogue:
    """What the profiles that come with the package offer, by name."""

    def ids(self) -> tuple[str, ...]:
        """Ids of all profiles."""
        return profile_ids()

    def points(self, profile_id: str) -> set[str] | None:
        """Names that :meth:`FieldDevice.poll` may return; None for an unknown profile.

        Includes derived points, and ``p_set_w`` or ``q_set_var`` where there is a command that they read back.
        """
        if profile_id not in profile_ids():
            return None
        profile = load_profile(profile_id)
        return set(profile.poll_names())

    def commands(self, profile_id: str) -> set[str] | None:
        """Names of the commands of a profile; None for an unknown one."""
        if profile_id not in profile_ids():
            return None
        return {command.name for command in load_profile(profile_id).commands}

    def fails(self, profile_id: str) -> str | None:
        """What the device does when set points stop; None for an unknown profile."""
        return load_profile(profile_id).fails.value if profile_id in profile_ids() else None

    def tells_serial(self, profile_id: str) -> bool | None:
        """True for a table that says where it is, and for SunSpec (common model); None for an unknown profile."""
        if profile_id not in profile_ids():
            return None
        profile = load_profile(profile_id)
        return profile.template is not None or profile.serial is not None

    def protocol(self, profile_id: str) -> str | None:
        """``modbus`` or ``opcua``; None for an unknown profile."""
        return load_profile(profile_id).protocol if profile_id in profile_ids() else None


def catalogue() -> Catalogue:
    """The catalogue of the profiles that come with the package."""
    return Catalogue()
