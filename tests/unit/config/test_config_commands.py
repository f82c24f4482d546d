"""``gridedge check`` and ``gridedge schema`` as a person or a pipeline meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from config_samples import SMALL, changed

from controller.config.commands import check, schema
from controller.config.loader import check_site
from controller.config.reference import reference_markdown


@pytest.mark.parametrize("name", ["demo_primary", "secondary_rooftop", "ev_charging"])
def test_a_shipped_site_is_fit_for_service(name: str) -> None:
    result = CliRunner().invoke(check, [name])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"{name}.yaml: ok"


def test_the_summary_names_units_with_their_fail_safe_limits_and_devices() -> None:
    output = CliRunner().invoke(check, ["demo_primary"]).output
    assert "7 buses, 5 lines, 2 transformers" in output
    assert "generates at most 5000 kW" in output
    assert "at fail-safe at most" in output
    assert "opc.tcp://127.0.0.1:15032" in output


def test_a_bad_file_lists_everything_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(changed("unit_address: 7", "poll_s: 0", changed("i_max_a: 250", "i_max_a: 999")))
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 1
    assert "devices[1].poll_s: found 0" in result.output
    assert "limits.thermal[1].i_max_a: found 999" in result.output
    assert result.output.splitlines()[-1].startswith("bad.yaml: refused, ")


def test_json_output_carries_the_findings(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SMALL.replace("cycle_s: 1,", "cycle_s: 0,"))
    result = CliRunner().invoke(check, [str(path), "--json"])
    answer = json.loads(result.output)
    assert (result.exit_code, answer["ok"]) == (1, False)
    assert "control.cycle_s" in [finding["path"] for finding in answer["findings"]]
    good = json.loads(CliRunner().invoke(check, ["ev_charging", "--json"]).output)
    assert (good["ok"], good["units"]["HUB1"]["p_w"], good["profiles_checked"]) == (True, 80e3, True)


def test_a_missing_file_says_which_sites_there_are() -> None:
    result = CliRunner().invoke(check, ["demo_secondary"])
    assert result.exit_code == 1
    assert "demo_primary" in result.output


def test_the_schema_command_prints_json_or_the_reference() -> None:
    printed = json.loads(CliRunner().invoke(schema).output)
    assert printed["properties"]["units"]["type"] == "array"
    assert CliRunner().invoke(schema, ["--markdown"]).output == reference_markdown()


def test_check_site_returns_the_findings_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(changed("i_max_a: 250", "i_max_a: 999", changed("s_sc_mva: 200", "s_sc_mva: 1e3")))
    lines = [finding.line for finding in check_site(path)]
    assert lines == sorted(lines)
    assert len(lines) >= 2
