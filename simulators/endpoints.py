"""All protocol servers of a world, one per endpoint, so that a killed device closes its own port only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from controller.domain.site import Device
from simulators.adapters.modbus_server import ModbusServer
from simulators.adapters.opcua_server import OpcUaServer
from simulators.field_device import PlantDevice
from simulators.world import World

OPC_UA = "opcua"


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
    host: str
    port: int
    devices: list[tuple[Device, PlantDevice]]
    server: ModbusServer | OpcUaServer
    running: bool = False


class Endpoints:
    """Servers of all devices of ``world``; ``port_offset`` is added to every port of the site file."""

    def __init__(self, world: World, port_offset: int) -> None:
        groups: dict[tuple[str, str, int], list[tuple[Device, PlantDevice]]] = {}
        for device in world.site.devices:
            host, port = address_of(device)
            groups.setdefault((device.protocol, host, port + port_offset), []).append(
                (device, world.devices[device.id])
            )
        self._endpoints = [
            _Endpoint(host, port, members, _server(protocol, host, port, members))
            for (protocol, host, port), members in groups.items()
        ]

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
                protocol="OPC UA" if device.protocol == OPC_UA else "Modbus TCP",
                address=f"{endpoint.host}:{endpoint.port}",
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


def _server(
    protocol: str, host: str, port: int, members: Sequence[tuple[Device, PlantDevice]]
) -> ModbusServer | OpcUaServer:
    if protocol == OPC_UA:
        return OpcUaServer([(host, port, plant) for _, plant in members])
    return ModbusServer([(host, port, device.unit_address, plant) for device, plant in members])
