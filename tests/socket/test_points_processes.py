"""``gridedge points`` against a simulated substation on its own ports."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from field_processes import PATIENCE_S, SITE, bench

from controller.field.points_command import points

pytestmark = pytest.mark.socket


def test_every_device_of_a_simulated_site_says_good_values_with_the_registers_behind_them(tmp_path: Path) -> None:
    with bench(tmp_path) as field:
        arguments = [SITE, "--once", "--json", "--port-offset", str(field.offset)]
        nobody = CliRunner().invoke(points, [*arguments, "--device", "GB1"])
        assert nobody.exit_code == 1
        assert "no connection" in json.loads(nobody.output)["devices"][0]["points"][0]["reason"]
        field.simulate()
        until_s = time.monotonic() + PATIENCE_S
        while (found := CliRunner().invoke(points, arguments)).exit_code:
            assert time.monotonic() < until_s, found.output
            time.sleep(0.2)
    devices = {device["id"]: device for device in json.loads(found.output)["devices"]}
    (power,) = [point for point in devices["GB1"]["points"] if point["point"] == "p_w"]
    assert power["quality"] == "good"
    assert power["raw"]
    assert all(device["counts"]["ok"] == 1 and device["counts"]["writes_ok"] == 0 for device in devices.values())
