"""The national block: what it comes to, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.config.finding import SiteError
from controller.config.loader import parse_site
from controller.domain.national import Tender
from controller.domain.owner import Owner
from controller.domain.site import Site

SITE = Path(__file__).resolve().parents[3] / "site_configs" / "demo_primary.yaml"
BLOCK = {
    "url": "https://market.example/bids",
    "at": '"15:25"',
    "gate": '"15:45"',
    "start": '"18:00"',
    "end": '"19:30"',
    "units": "[BAT1]",
}


def site_with(**changes: str) -> Site:
    lines = "".join(f"  {key}: {value}\n" for key, value in (BLOCK | changes).items())
    return parse_site(SITE.read_text("utf-8") + f"\nnational:\n{lines}", "with a tender")


def test_clock_times_become_seconds_after_midnight() -> None:
    tender = site_with(margin_eur_per_mwh="5").tender
    assert tender is not None
    bare = Tender("https://market.example/bids", 55_500.0, 56_700.0, 64_800.0, 70_200.0, ("BAT1",), 5.0)
    assert replace(tender, w_max=0.0, lasts_s_max=bare.lasts_s_max) == bare


def test_what_is_activated_may_do_no_more_than_the_largest_unit_and_the_longest_instruction() -> None:
    site = site_with(writes_per_day="96")
    issuer = site.issuer("tso:national")
    assert issuer is not None
    assert issuer.service is Owner.TSO
    assert issuer.subjects == {"BAT1"}
    assert issuer.w_max == max(unit.p_rated_w for unit in site.units)
    assert issuer.lasts_s_max == site.connection.instruction_s_max
    assert issuer.writes.most == 96.0


def test_a_window_may_go_past_midnight() -> None:
    tender = site_with(end='"01:00"').tender
    assert tender is not None
    assert tender.end_s == 3600.0


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"units": "[NOBODY]"}, "national.units", "BAT1"),
        ({"gate": '"15:25"'}, "national.gate", "later than at 15:25"),
        ({"start": '"15:30"'}, "national.start", "not before gate 15:45"),
        ({"url": "http://market.example/bids"}, "national.url", "https://"),
        ({"at": '"24:00"'}, "national.at", "HH:MM"),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(changes: dict[str, str], path: str, expected: str) -> None:
    with pytest.raises(SiteError) as caught:
        site_with(**changes)
    assert path in str(caught.value)
    assert expected in str(caught.value)


def test_a_window_is_no_longer_than_an_instruction_may_be() -> None:
    text = SITE.read_text("utf-8").replace("\nlimits:\n", "\ncontrol: {instruction_h_max: 1}\nlimits:\n", 1)
    lines = "".join(f"  {key}: {value}\n" for key, value in BLOCK.items())
    with pytest.raises(SiteError, match="instruction_h_max"):
        parse_site(f"{text}\nnational:\n{lines}", "with a long window")
