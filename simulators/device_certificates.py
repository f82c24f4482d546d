"""What secured Modbus devices of a simulation prove themselves with, and what the controller does.

A folder with ``ca.pem`` (the authority that both sides trust), ``gridedge.pem`` and ``.key`` (the controller's) and
``device.pem`` and ``.key`` (the devices'). A site file names them in the ``options`` of its devices.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from controller.domain.site import Device
from simulators.platform.certificates import Authority, Identity, server_context

CONTROLLER, DEVICE = "gridedge", "device"


def make_certificates(folder: Path, hosts: tuple[str, ...]) -> bool:
    """Write the files for devices at ``hosts``, good for 30 days; False where there are any, which are left alone.

    Raises OSError when nothing can be written there.
    """
    if (folder / "ca.pem").exists():
        return False
    authority = Authority(folder, "authority of a simulation")
    authority.issue(CONTROLLER)
    authority.issue(DEVICE, also=hosts)
    return True


def device_context(folder: Path | None, device: Device, host: str) -> ssl.SSLContext:
    """How a simulated device at ``host`` proves itself and whom it lets in; ValueError says what is missing."""
    if folder is None:
        raise ValueError(f"device {device.id} at {host} is modbus+tls; expected --certificates FOLDER")
    identity = Identity(folder / f"{DEVICE}.pem", folder / f"{DEVICE}.key")
    try:
        return server_context(identity, folder / "ca.pem")
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"device {device.id}: {folder} has no usable device.pem, device.key and ca.pem: {error}"
        ) from error
