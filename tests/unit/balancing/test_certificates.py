"""A certificate that ends is told before the link that needs it fails, and so is one that cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import platform_kit as kit
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from controller.balancing.certificates import CertificateWatch, Shown, shown_by
from controller.clock import ManualClock
from controller.config.loader import parse_site
from simulators.platform.certificates import Authority, Identity

DAY_S = 86_400.0


@pytest.fixture
def ours(tmp_path: Path) -> Identity:
    return Authority(tmp_path).issue("box")


def ends(identity: Identity) -> datetime:
    return x509.load_pem_x509_certificate(identity.cert_file.read_bytes()).not_valid_after_utc


def watch(identity: Identity, before_end: timedelta) -> tuple[CertificateWatch, ManualClock]:
    """So long before the end of the certificate."""
    clock = ManualClock(0.0, ends(identity) - before_end)
    shown = Shown("market.cert_file", str(identity.cert_file), str(identity.key_file))
    return CertificateWatch([shown], clock), clock


def told(watch: CertificateWatch) -> list[str]:
    with capture_logs() as logs:
        watch.look()
    return [entry["event"] for entry in logs]


def test_a_certificate_is_told_a_month_before_its_end_once_a_day_and_as_an_error_when_it_has_ended(
    ours: Identity,
) -> None:
    one, clock = watch(ours, timedelta(days=31))
    assert told(one) == []
    clock.advance(1.5 * DAY_S)
    assert told(one) == ["certificate.expiring"]
    clock.advance(0.5 * DAY_S)
    assert told(one) == []
    clock.advance(0.5 * DAY_S)
    assert told(one) == ["certificate.expiring"]
    clock.advance(29.0 * DAY_S)
    assert told(one) == ["certificate.expired"]


def test_one_that_was_renewed_on_the_disk_is_told_no_more_until_its_own_end_comes(tmp_path: Path) -> None:
    old = Authority(tmp_path / "old").issue("box", expired=True)
    one, clock = watch(old, timedelta(days=-1))
    assert told(one) == ["certificate.expired"]
    new = Authority(tmp_path / "new").issue("box")
    old.cert_file.write_bytes(new.cert_file.read_bytes())
    old.key_file.write_bytes(new.key_file.read_bytes())
    clock.advance((ends(new) - timedelta(days=40) - clock.utc()).total_seconds())
    assert told(one) == []
    clock.advance(20.0 * DAY_S)
    assert told(one) == ["certificate.expiring"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda one: one.key_file.unlink(), "FileNotFoundError"),
        (lambda one: one.cert_file.write_text("no certificate"), "ValueError"),
        (lambda one: one.key_file.write_text("no key"), "SSLError"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_before_anybody_connects(ours: Identity, spoil: object, why: str) -> None:
    assert callable(spoil)
    one, _ = watch(ours, timedelta(days=60))
    spoil(ours)
    with capture_logs() as logs:
        one.look()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("certificate.unusable", "error")]
    assert logs[0]["reason"].startswith(why)
    assert logs[0]["key"] == "market.cert_file"


def test_a_key_of_another_certificate_is_told(tmp_path: Path, ours: Identity) -> None:
    other = Authority(tmp_path / "other").issue("box")
    shown = Shown("platform.cert_file", str(ours.cert_file), str(other.key_file))
    assert told(CertificateWatch([shown], ManualClock(0.0, datetime.now(UTC)))) == ["certificate.unusable"]


def test_one_that_has_not_begun_is_told(ours: Identity) -> None:
    one, _ = watch(ours, timedelta(days=10_000))
    assert told(one) == ["certificate.unusable"]


def test_authorities_end_with_the_last_of_them(tmp_path: Path) -> None:
    old = Authority(tmp_path / "old").issue("x", expired=True).cert_file.read_bytes()
    both = tmp_path / "both.pem"
    both.write_bytes(old + Authority(tmp_path / "new").ca_file.read_bytes())
    now = ManualClock(0.0, datetime.now(UTC))
    assert told(CertificateWatch([Shown("national.ca_file", str(both))], now)) == []
    both.write_bytes(old)
    assert told(CertificateWatch([Shown("national.ca_file", str(both))], now)) == ["certificate.expired"]


def test_every_link_that_shows_or_trusts_a_certificate_is_looked_after() -> None:
    platform = kit.PLATFORM.replace(
        "  contract:", "  ca_file: /etc/ca.pem\n  cert_file: /etc/box.pem\n  key_file: /etc/box.key\n  contract:"
    )
    site = parse_site(kit.site_text(platform), "with certificates")
    assert shown_by(site) == (
        Shown("platform.cert_file", "/etc/box.pem", "/etc/box.key"),
        Shown("platform.ca_file", "/etc/ca.pem"),
    )
    assert shown_by(kit.SITE) == ()
    assert CertificateWatch((), ManualClock()).tasks() == {}
