"""Every transport that a site file can name, simulated and driven: secured, RTU in TCP, a serial line of two units."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from adapters_kit import TableDevice
from click.testing import CliRunner
from free_ports import free_port

from controller.clock import SystemClock
from controller.config.loader import load_site
from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from controller.domain.site import Device
from drivers.profile_loader import load_profile
from drivers.registry import open_devices
from simulators.adapters.serial_line import SerialLine
from simulators.commands import simulate
from simulators.device_certificates import make_certificates
from simulators.endpoints import Endpoints
from simulators.scenario import load_scenario
from simulators.world import World

pytestmark = pytest.mark.socket

SITE = Path(__file__).parents[2] / "site_configs" / "ev_charging.yaml"


def rewired(folder: Path) -> list[Device]:
    """Two meters on a serial line, a charging hub behind TLS, a solar farm behind a serial gateway."""
    options = {
        "ca_file": f"{folder}/ca.pem",
        "certificate_file": f"{folder}/gridedge.pem",
        "private_key_file": f"{folder}/gridedge.key",
    }
    line = f"rtu://{folder}/bus1?baud=115200&parity=E&stop=1"
    changes: dict[str, dict[str, object]] = {
        "MTD": {"endpoint": line, "unit_address": 11},
        "MC1": {"endpoint": line, "unit_address": 12},
        "HUB1": {"endpoint": f"modbus+tls://127.0.0.1:{free_port()}", "options": options},
        "PV": {"endpoint": f"rtu+tcp://127.0.0.1:{free_port()}"},
    }
    known = {device.id: device for device in load_site(SITE).devices}
    return [dataclasses.replace(known[name], **change) for name, change in changes.items()]  # type: ignore[arg-type]


def world_of(devices: list[Device]) -> World:
    site = dataclasses.replace(load_site(SITE), devices=tuple(devices))
    return World(site, dataclasses.replace(load_scenario("ev_charging"), faults=()), 1)


async def test_a_site_on_every_transport_is_read_and_commanded(tmp_path: Path) -> None:
    devices = rewired(tmp_path)
    make_certificates(tmp_path, ("127.0.0.1",))
    served = Endpoints(world_of(devices), 0, tmp_path)
    await served.start()
    links = open_devices(devices, SystemClock())
    try:
        async with asyncio.timeout(15.0):
            for name, link in links.items():
                for _ in range(100):
                    if any(answer.quality is Quality.GOOD for answer in (await link.poll()).values()):
                        break
                    await asyncio.sleep(0.05)
                assert link.counts()["rejected"] == 0, name  # type: ignore[attr-defined]
            outcome = await links["HUB1"].write({"consumption_w_max": 20e3}, 60.0, {"consumption_w_max": 10e3})
            assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
            assert (await links["HUB1"].poll())["p_set_w"].value == 20e3
    finally:
        for link in links.values():
            await link.aclose()
        await served.stop()
    assert [row.protocol for row in served.table()] == [
        "Modbus RTU",
        "Modbus RTU",
        "Modbus TLS",
        "Modbus RTU in TCP",
    ]
    assert not (tmp_path / "bus1").is_symlink()


def meter(voltage_v: float) -> TableDevice:
    return TableDevice(load_profile("eastron_sdm630"), {"u_1_v_ln": voltage_v, "f_hz": 50.0})


async def test_who_is_silent_or_not_there_on_a_serial_line_does_not_answer(tmp_path: Path) -> None:
    silent, other = meter(231.0), meter(232.0)
    silent.silent = True
    line = SerialLine(f"{tmp_path}/bus", [(1, silent), (2, other)])
    await line.start()
    endpoint = f"rtu://{tmp_path}/bus?baud=115200&parity=N"
    devices = [
        Device(f"M{unit}", "modbus", endpoint, unit, "eastron_sdm630", {}, None, 0.2, 1.0, 0.3) for unit in (1, 2, 3)
    ]
    links = open_devices(devices, SystemClock())
    found: dict[str, float] = {}
    async with asyncio.timeout(10.0):
        while "M2" not in found or links["M3"].counts()["timeouts"] < 2:  # type: ignore[attr-defined]
            for name, link in links.items():
                answer = (await link.poll())["u_1_v_ln"]
                found |= {name: answer.value} if answer.usable else {}
            await asyncio.sleep(0.05)
    assert found == {"M2": 232.0}
    for link in links.values():
        await link.aclose()
    await line.stop()
    await line.stop()


async def test_a_line_under_a_name_that_is_taken_is_refused_and_one_left_behind_is_taken_over(tmp_path: Path) -> None:
    place = tmp_path / "ttyUSB0"
    place.write_text("a real port")
    with pytest.raises(OSError, match="ttyUSB0 exists; expected a free name"):
        await SerialLine(str(place), [(1, meter(230.0))]).start()
    assert place.read_text() == "a real port"
    place.unlink()
    place.symlink_to("/dev/pts/nobody")
    line = SerialLine(str(place), [(1, meter(230.0))])
    await line.start()
    assert place.resolve().is_char_device()
    await line.stop()
    assert not place.is_symlink()


def test_a_secured_device_without_certificates_is_said(tmp_path: Path) -> None:
    folder, world = tmp_path / "ca", world_of(rewired(tmp_path))
    with pytest.raises(ValueError, match=r"device HUB1 at 127.0.0.1 is modbus\+tls; expected --certificates"):
        Endpoints(world, 0)
    with pytest.raises(ValueError, match="has no usable device"):
        Endpoints(world, 0, folder)
    assert make_certificates(folder, ("127.0.0.1",))
    assert not make_certificates(folder, ("127.0.0.1",)), "what is there is left alone"


def test_a_copy_of_a_site_needs_the_name_of_its_scenario(tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copy.write_text(SITE.read_text("utf-8"), "utf-8")
    said = CliRunner().invoke(simulate, [str(copy)])
    assert said.exit_code == 1
    assert "no scenario is called 'mine'; expected one of" in said.output
