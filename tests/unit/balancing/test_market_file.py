"""The market block of the site file: what is wrong is named with place, value and expectation; the rest becomes SI."""

from __future__ import annotations

import stat
from base64 import b64decode
from pathlib import Path

import market_kit as made
import pytest
import uftp_kit as kit
from click.testing import CliRunner

from controller.balancing.uftp import wire
from controller.balancing.uftp.command import market_key
from controller.config.finding import SiteError
from controller.config.loader import parse_site
from controller.domain.owner import Owner

GOOD = made.market_text()


def test_a_market_becomes_rules_times_and_a_desk_with_the_units_that_it_may_command() -> None:
    market = made.site_with(GOOD).market
    assert market is not None
    who = market.rules.participants[kit.AGR]
    assert (who.power_w_max, who.units, who.delivers_itself) == (5e6, ("BAT1",), False)
    assert (market.rules.isp_s, market.rules.time_zone) == (900, kit.ZONE)
    assert (market.wire.host, market.wire.port) == ("127.0.0.1", 8443)
    assert (market.timetable.plan_s, market.timetable.horizon_s) == (300.0, 12 * 3600.0)
    assert (market.desk.account, market.desk.service) == ("flexibility:market", Owner.FLEXIBILITY)
    assert market.desk.subjects == {"BAT1"}


def test_its_desk_is_one_that_orders_may_come_from_and_without_a_market_there_is_none() -> None:
    assert [desk.account for desk in made.site_with(GOOD).issuers] == ["flexibility:market"]
    assert made.site_with("").issuers == ()


@pytest.mark.parametrize(
    ("right", "wrong", "path", "says"),
    [
        ("listen: 127.0.0.1:8443", "listen: 0.0.0.0:8443", "market.listen", "cert_file and key_file with it"),
        ("listen: 127.0.0.1:8443", "listen: 127.0.0.1:99999", "market.listen", "a port 1…65535"),
        ("timezone: Europe/London", "timezone: Europe/Nowhere", "market.timezone", "an IANA time zone"),
        ("[BAT1]", "[BAT9]", "market.participants[0].units", "a unit: "),
        ("[BAT1]", "[]", "market.participants[0].units", "at least one unit"),
        ("max_kw: 5000", "max_kw: 0.0", "market.participants[0].max_kw", "kW above 0"),
        ("http://127.0.0.1:9/agr", "http://agr.example.com/x", "market.participants[0].endpoint", "https"),
        (f"domain: {kit.AGR}", f"domain: {kit.DSO}", "market.participants[0].domain", "another domain than ours"),
        (kit.KEYS[kit.AGR][0], "A" * 44, "market.participants[0].public_key", "32 bytes in base64"),
        ("signing_key: /etc", "signing_key: etc", "market.signing_key", "an absolute path"),
        ("  listen:", "  isp_min: 30\n  listen:", "market.isp_min", "15"),
        ("  listen:", "  cert_file: /c.pem\n  listen:", "market", "cert_file with key_file"),
        ("  listen:", "  by_portfolio: true\n  listen:", "market.by_portfolio", "a participant of role CRO"),
        ("  listen:", "  price_cap: 3\n  listen:", "market.price_cap", "price_max"),
    ],
)
def test_what_is_wrong_is_named(right: str, wrong: str, path: str, says: str) -> None:
    assert right in GOOD
    with pytest.raises(SiteError) as refused:
        parse_site(made.site_text(GOOD.replace(right, wrong)), "wrong")
    (finding,) = refused.value.findings
    assert finding.path == path
    assert says in f"{finding.expected} {finding.message}"


def test_a_unit_stands_behind_one_participant_only() -> None:
    second = f"""    - {{domain: {kit.OTHER}, endpoint: "https://o.example.com/x", public_key: {kit.KEYS[kit.OTHER][0]},
       max_kw: 100, units: [BAT1]}}
"""
    with pytest.raises(SiteError, match=r"market\.participants\[1\]\.units: .* one participant for it"):
        made.site_with(GOOD + second)


def test_a_new_key_signs_is_for_its_owner_alone_and_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "market.key"
    first = CliRunner().invoke(market_key, [str(file)])
    assert first.exit_code == 0
    secret, public = file.read_text("ascii").strip(), first.output.strip()
    sealed = wire.seal(wire.plain_text(kit.prognosis()), kit.AGR, secret, "AGR")
    wire.unseal(wire.open_envelope(sealed), public)
    assert len(b64decode(public)) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert CliRunner().invoke(market_key, [str(file)]).exit_code != 0
    assert file.read_text("ascii").strip() == secret
