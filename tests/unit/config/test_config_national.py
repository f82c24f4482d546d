"""The national block: what it comes to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config.finding import SiteError
from controller.config.loader import parse_site
from controller.domain.national import Tender
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
    assert site_with(margin_eur_per_mwh="5").tender == Tender(
        "https://market.example/bids", 55_500.0, 56_700.0, 64_800.0, 70_200.0, ("BAT1",), 5.0
    )


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
