"""Looking for an OPC UA server at one address."""

from __future__ import annotations

from drivers.profile_loader import load_profile, profile_ids
from drivers.scan.findings import OpcUaFound


async def scan_opcua(host: str, port: int, within_s: float) -> OpcUaFound | None:
    """What the server offers; None when no OPC UA server answers."""
    from drivers.opcua.session import LinkError
    from drivers.opcua.session.survey import namespaces, server_endpoints

    url = f"opc.tcp://{host}:{port}"
    try:
        endpoints = await server_endpoints(url, within_s)
    except LinkError:
        return None
    found = tuple((item.url, item.policy, item.mode, item.certificate) for item in endpoints)
    if not any(item.policy == "None" for item in endpoints):
        return OpcUaFound(url, found, remark="namespaces are told only over a secured channel")
    try:
        uris = await namespaces(url, within_s)
    except LinkError as fault:
        return OpcUaFound(url, found, remark=str(fault))
    return OpcUaFound(url, found, uris, tuple(_profiles_with(uris)))


def _profiles_with(uris: tuple[str, ...]) -> list[str]:
    return [
        name for name in profile_ids() if load_profile(name).namespace_uri in uris and load_profile(name).namespace_uri
    ]
