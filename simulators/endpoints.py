"""All protocol servers of a world, one per endpoint, so that a killed device closes its own port only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from controller.domain.site import Device
from drivers.modbus.endpoint import Endpoint
from simulators.adapters.modbus_server import ModbusServer
from simulators.adapters.opcua_server import OpcUaServer
from simulators.adapters.serial_line import SerialLine
from simulators.device_certificates import device_context
from simulators.field_device import PlantDevice
from simulators.world import World

OPC_UA = "opcua"
_Server = ModbusServer | OpcUaServer | SerialLine
_Members = Sequence[tuple[Device, PlantDevice]]


@dataclass(frozen=True, slots=True)
class Listening:
    """What listens where, for people."""

    device: str
    commands: str
    protocol: str
    address: str
    unit_address: int
    profile: str


@dataclass(slots=True)
class _Endpoint:
    protocol: str
    address: str
    devices: _Members
    server: _Server
    running: bool = False


class Endpoints:
    """Servers of all devices of ``world``; ``port_offset`` is added to every port of the site file.

    ``certificates`` is the folder that secured Modbus devices prove themselves from; see
    :mod:`simulators.device_certificates`. Raises ValueError when it is missing and there are any.
    """

    def __init__(self, world: World, port_offset: int, certificates: Path | None = None) -> None:
        groups: dict[tuple[str, str], list[tuple[Device, PlantDevice]]] = {}
        for device in world.site.devices:
            key = (device.protocol, _line_of(device))
            groups.setdefault(key, []).append((device, world.devices[device.id]))
        self._endpoints = [_endpoint(members, port_offset, certificates) for members in groups.values()]

    async def start(self) -> None:
        """Listen on all ports; OSError names the one that is taken, and nothing stays open then."""
        try:
            for endpoint in self._endpoints:
                await endpoint.server.start()
                endpoint.running = True
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close everything; safe to call twice."""
        for endpoint in self._endpoints:
            if endpoint.running:
                endpoint.running = False
                await endpoint.server.stop()

    async def refresh(self) -> None:
        """Push new values to subscribers, and close the ports on which every device is dead."""
        for endpoint in self._endpoints:
            if not endpoint.running:
                continue
            if all(plant.killed for _, plant in endpoint.devices):
                endpoint.running = False
                await endpoint.server.stop()
            elif isinstance(endpoint.server, OpcUaServer):
                await endpoint.server.refresh()

    def table(self) -> list[Listening]:
        """One row per device, in the order of the site."""
        return [
            Listening(
                device=device.id,
                commands=device.unit or "",
                protocol=endpoint.protocol,
                address=endpoint.address,
                unit_address=device.unit_address,
                profile=device.profile,
            )
            for endpoint in self._endpoints
            for device, _ in endpoint.devices
        ]


def address_of(device: Device) -> tuple[str, int]:
    """Host and port of a device's endpoint; ValueError names the device when it has none."""
    text = device.endpoint if "//" in device.endpoint else f"//{device.endpoint}"
    parts = urlsplit(text)
    if parts.hostname is None or parts.port is None:
        raise ValueError(
            f"device {device.id} has endpoint {device.endpoint!r}; expected host:port or opc.tcp://host:port"
        )
    return parts.hostname, parts.port


def _line_of(device: Device) -> str:
    """What devices on one connection have in common."""
    if device.protocol == OPC_UA:
        return "{}:{}".format(*address_of(device))
    return "{}:{}".format(*Endpoint.parse(device.endpoint).line)


def _endpoint(members: _Members, port_offset: int, certificates: Path | None) -> _Endpoint:
    """The server behind one connection."""
    first = members[0][0]
    if first.protocol == OPC_UA:
        host, port = address_of(first)
        opcua = OpcUaServer([(host, port + port_offset, plant) for _, plant in members])
        return _Endpoint("OPC UA", f"{host}:{port + port_offset}", members, opcua)
    where = Endpoint.parse(first.endpoint)
    if where.serial is not None:
        line = SerialLine(where.host, [(device.unit_address, plant) for device, plant in members])
        return _Endpoint("Modbus RTU", where.host, members, line)
    port = where.port + port_offset
    units = [(where.host, port, device.unit_address, plant) for device, plant in members]
    address = f"{where.host}:{port}"
    if where.tls:
        tls = device_context(certificates, first, where.host)
        return _Endpoint("Modbus TLS", address, members, ModbusServer(units, tls=tls))
    return _Endpoint(
        "Modbus RTU in TCP" if where.rtu else "Modbus TCP", address, members, ModbusServer(units, rtu=where.rtu)
    )
