"""Simulated devices on Modbus TCP (plain, secured, or RTU frames in it), served by pymodbus: an implementation that
shares no code with our client.

Registers are computed when they are read, writes go straight to the device. Only hooks that pymodbus documents are
used: ``SimDevice.action`` for the registers, ``trace_pdu`` and ``trace_packet`` for what leaves the server.

pymodbus (3.16) answers one request per received segment: a client that pipelines several may lose all but the first.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators.adapters.encoding import RegisterMap, WriteRefusedError
from simulators.device import SimulatedDevice

_TABLES = {3: "holding", 4: "input", 6: "holding", 16: "holding"}
_UNIT_AT = {FramerType.SOCKET: 6, FramerType.RTU: 0}  # offset of the unit address in a frame
_ANY_UNIT = 0  # the pymodbus device that takes requests for units which do not exist


class ModbusServer:
    """Any number of devices; those with the same (host, port) are units behind one listener.

    ``rtu`` frames as RTU, as behind a transparent serial gateway: units that do not exist are silent there. ``tls``
    secures every connection (Modbus/TCP Security).
    """

    def __init__(
        self,
        devices: Sequence[tuple[str, int, int, SimulatedDevice]],
        *,
        rtu: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._framing = FramerType.RTU if rtu else FramerType.SOCKET
        self._tls = tls
        self._units: dict[tuple[str, int], dict[int, _Unit]] = {}
        for host, port, unit_address, device in devices:
            units = self._units.setdefault((host, port), {})
            if unit_address in units:
                raise ValueError(f"{host}:{port} has two devices at unit address {unit_address}; expected one")
            units[unit_address] = _Unit(device)
        self._servers: list[ModbusTcpServer] = []

    async def start(self) -> None:
        """Listen on every port; OSError names the one that is taken."""
        for (host, port), units in self._units.items():
            server = _listener(host, port, units, self._framing, self._tls)
            if not await server.listen():
                await self.stop()
                raise OSError(f"cannot listen on {host}:{port} for Modbus TCP; is the port in use?")
            self._servers.append(server)

    async def stop(self) -> None:
        """Close every listener and connection; safe to call twice."""
        while self._servers:
            await self._servers.pop().shutdown()  # type: ignore[no-untyped-call]


class _Unit:
    """One device behind a unit address."""

    def __init__(self, device: SimulatedDevice) -> None:
        self.device = device
        self._map = RegisterMap(device.profile)

    def sim_device(self, unit_address: int) -> SimDevice:
        """A block that spans all registers; which of them exist is decided per request."""
        blocks = self._map.blocks("holding") + self._map.blocks("input")
        first = min(start for start, _ in blocks)
        count = max(start + size for start, size in blocks) - first
        data = SimData(first, count=count, datatype=DataType.REGISTERS)
        return SimDevice(unit_address, simdata=[data], action=self._action)

    async def _action(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        table = _TABLES.get(function_code)
        if table is None:
            return ExcCodes.ILLEGAL_FUNCTION
        if self.device.silent:
            return ExcCodes.GATEWAY_NO_RESPONSE  # the answer is dropped on its way out
        if set_values is not None:
            return self._write(address, [int(word) for word in set_values])
        if function_code == 6:
            return None  # the echo of a single write repeats the request
        if not self._map.readable(table, address, count):
            return ExcCodes.ILLEGAL_ADDRESS
        if count > self.device.profile.read.registers_max:
            return ExcCodes.ILLEGAL_VALUE
        offset = address - start_address
        current_registers[offset : offset + count] = self._map.read(table, address, count, self.device.values())
        return None

    def _write(self, address: int, registers: list[int]) -> ExcCodes | None:
        try:
            writes = self._map.writes(address, registers, self.device.values())
        except WriteRefusedError as refused:
            return ExcCodes.ILLEGAL_ADDRESS if refused.address_is_wrong else ExcCodes.ILLEGAL_VALUE
        for point, value in writes:
            if not self.device.write(point, value):
                return ExcCodes.ILLEGAL_VALUE
        return None


def _listener(
    host: str, port: int, units: dict[int, _Unit], framing: FramerType, tls: ssl.SSLContext | None
) -> ModbusTcpServer:
    """A pymodbus server that drops the answers of silent units and refuses unknown ones with exception 11."""

    def sent_pdu(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending or pdu.dev_id in units:
            return pdu
        return ExceptionResponse(pdu.function_code & 0x7F, ExcCodes.GATEWAY_NO_RESPONSE, pdu.dev_id, pdu.transaction_id)

    def sent_packet(sending: bool, data: bytes) -> bytes:
        if not sending:
            return data
        unit = units.get(data[_UNIT_AT[framing]])
        silent = framing is FramerType.RTU if unit is None else unit.device.silent
        return b"" if silent else data

    devices = [unit.sim_device(address) for address, unit in units.items()]
    if _ANY_UNIT not in units:
        devices.append(SimDevice(_ANY_UNIT, simdata=[SimData(0, datatype=DataType.REGISTERS)]))
    if tls is None:
        return ModbusTcpServer(
            devices, address=(host, port), framer=framing, trace_pdu=sent_pdu, trace_packet=sent_packet
        )
    return ModbusTlsServer(
        devices, address=(host, port), framer=framing, sslctx=tls, trace_pdu=sent_pdu, trace_packet=sent_packet
    )
