"""``gridedge scan`` against a real OPC UA server."""

from __future__ import annotations

import pytest
from adapters_kit import RTU, RTU_VALUES, TableDevice
from free_ports import free_port

from drivers.scan.command import ScanOptions, look
from drivers.scan.report import as_text
from simulators.adapters.opcua_server import OpcUaServer

pytestmark = pytest.mark.socket


async def test_endpoints_policies_and_namespaces_are_told_and_the_profile_is_proposed() -> None:
    port = free_port()
    server = OpcUaServer([("127.0.0.1", port, TableDevice(RTU, RTU_VALUES))])
    await server.start()
    try:
        found = await look("127.0.0.1", port, ScanOptions((1,), 0.5, 0.0, 5.0))
    finally:
        await server.stop()
    (opcua,) = found.opcua
    assert opcua.endpoints[0][1:3] == ("None", "None")
    assert RTU.namespace_uri in opcua.namespaces
    assert opcua.matches == ("opcua_rtu_der",)
    assert "profile: opcua_rtu_der, unit: UNIT" in as_text(found)
