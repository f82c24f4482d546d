"""The planning block: what it comes to in SI, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config.finding import SiteError
from controller.config.loader import parse_site
from controller.domain.owner import Owner
from controller.domain.site import Site

SITES = Path(__file__).resolve().parents[3] / "site_configs"


def site_with(block: str, name: str = "demo_primary") -> Site:
    return parse_site((SITES / f"{name}.yaml").read_text("utf-8") + f"\nplanning: {block}\n", "planned")


def test_an_empty_block_is_enough_and_its_desk_speaks_for_the_storages_alone() -> None:
    site = site_with("{}")
    assert site.market is None
    assert site.planning is not None
    assert (site.planning.plan_s, site.planning.horizon_s, site.planning.lasts_s) == (900.0, 86_400.0, 2700.0)
    (desk,) = site.planning.issuers
    assert (desk.account, desk.service, desk.subjects) == ("plan:station", Owner.PLAN, frozenset({"BAT1"}))
    assert site.issuer("plan:station") is desk


@pytest.mark.parametrize(
    ("block", "name", "path", "expected"),
    [
        ("{}", "cold_transformer", "planning", "a unit with storage"),
        ("{plan_min: 30, valid_min: 20}", "demo_primary", "planning.valid_min", "at least plan_min 30"),
        ("{horizon_h: 49}", "demo_primary", "planning.horizon_h", "1…48"),
        ("{often: true}", "demo_primary", "planning.often", ""),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(block: str, name: str, path: str, expected: str) -> None:
    with pytest.raises(SiteError) as caught:
        site_with(block, name)
    assert path in str(caught.value)
    assert expected in str(caught.value)


def test_no_plan_holds_longer_than_any_instruction_may() -> None:
    text = (SITES / "demo_primary.yaml").read_text("utf-8").replace("control:", "control:\n  instruction_h_max: 0.5", 1)
    with pytest.raises(SiteError, match=r"instruction_h_max \(30 min\)"):
        parse_site(text + "\nplanning: {}\n", "planned")
