"""Every device says what it takes, how it fails and what its table was checked against; the page repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from drivers.device_page import devices, kinds, page
from drivers.profile import FailBehaviour
from drivers.profile_loader import load_profile, profile_ids

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", profile_ids())
def test_every_table_says_how_the_device_fails_and_what_it_was_checked_against(name: str) -> None:
    profile = load_profile(name)
    assert profile.kind in kinds()
    assert profile.when_silent
    assert profile.verified
    assert all(spec.ref for spec in profile.points), "every register names where it was read"
    if profile.fails is FailBehaviour.FAILS_OPEN:
        assert profile.when_silent.startswith("FAILS OPEN"), "whoever reads the page must not miss it"
        assert "What must cover it" in profile.when_silent


@pytest.mark.parametrize("name", profile_ids())
def test_a_device_that_reverts_has_a_time_out_that_we_write_or_says_where_it_is_set(name: str) -> None:
    profile = load_profile(name)
    for command in profile.commands:
        if profile.fails is FailBehaviour.REVERTS_TO_VALUE and command.lease_point is None:
            assert "set in" in profile.when_silent


def test_the_page_of_devices_is_what_the_tables_say() -> None:
    written = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    assert written == page(load_profile(name) for name in profile_ids()), (
        "run: gridedge devices --markdown > docs/devices.md"
    )


def test_the_list_names_every_device_once_with_how_it_fails() -> None:
    found = CliRunner().invoke(devices, [])
    assert found.exit_code == 0
    for name in profile_ids():
        assert found.output.count(f"\n{name}: ") + found.output.startswith(f"{name}: ") == 1


def test_at_least_fifteen_real_devices_are_described() -> None:
    generic = ("sunspec_", "opcua_")
    assert len([name for name in profile_ids() if not name.startswith(generic)]) >= 15
