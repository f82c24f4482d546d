"""The platform's contract: what stands still, and what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config.finding import SiteError
from controller.config.loader import load_site, parse_site

DAY = Path(__file__).parents[3] / "site_configs" / "a_day_in_the_life.yaml"


def test_batteries_of_others_and_the_default_export_are_the_contract() -> None:
    platform = load_site(DAY).platform
    assert platform is not None
    assert platform.rest == ("BAT1", "CESB")
    assert platform.default_w == (("export", 4.4e6),)


@pytest.mark.parametrize("name", ["PVA", "EVH1", "NOBODY"])
def test_only_a_battery_of_the_site_can_stand_still(name: str) -> None:
    text = DAY.read_text(encoding="utf-8").replace("rest: [BAT1, CESB]", f"rest: [BAT1, {name}]")
    with pytest.raises(SiteError, match=rf"platform.contract.rest.*{name}.*BAT1, CESB"):
        parse_site(text, "day")
