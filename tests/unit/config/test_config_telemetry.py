"""The telemetry block: what it comes to in SI, and what is refused."""

from __future__ import annotations

import pytest
from config_samples import SMALL, FakeCatalogue, changed

from controller.config.finding import SiteError
from controller.config.loader import parse


def with_block(block: str) -> bytes:
    return changed("control: {", f"sparkplug: {block}\ncontrol: {{").encode()


def test_a_site_without_the_block_tells_nobody() -> None:
    assert parse(SMALL.encode(), "site.yaml", FakeCatalogue()).site.sparkplug is None


def test_what_is_left_out_is_safe_and_named_after_the_site() -> None:
    made = parse(with_block("{host: broker.example, group: north}"), "site.yaml", FakeCatalogue()).site.sparkplug
    assert made is not None
    assert (made.broker.host, made.broker.port, made.broker.tls) == ("broker.example", 8883, True)
    assert (made.group, made.node, made.primary_host) == ("north", "small", "")
    assert (made.live_s, made.settle_s, made.backlog_bytes_per_s) == (1.0, 90.0, 50_000.0)


@pytest.mark.parametrize(
    ("block", "path", "word"),
    [
        ("{group: north}", "sparkplug.host", "host"),
        ("{host: 'mqtt://h', group: north}", "sparkplug.host", "a host name"),
        ("{host: h, group: north/south}", "sparkplug.group", "an id"),
        ("{host: h, group: '+'}", "sparkplug.group", "an id"),
        ("{host: h, group: g, primary_host: '#'}", "sparkplug.primary_host", "an id"),
        ("{host: h, group: g, port: 0}", "sparkplug.port", "1…65535"),
        ("{host: h, group: g, cert_file: /c}", "sparkplug", "key_file"),
        ("{host: h, group: g, tls: false, ca_file: /c}", "sparkplug.ca_file", "nothing is checked without TLS"),
        ("{host: h, group: g, tls: false, credentials: /c}", "sparkplug.credentials", "in the clear"),
        ("{host: h, group: g, credentials: relative}", "sparkplug.credentials", "absolute path"),
    ],
)
def test_a_mistake_in_it_is_refused_with_its_place_and_reason(block: str, path: str, word: str) -> None:
    with pytest.raises(SiteError) as caught:
        parse(with_block(block), "site.yaml", FakeCatalogue())
    assert [finding for finding in caught.value.findings if path in str(finding) and word in str(finding)]


def test_a_password_may_stay_on_this_machine_in_the_clear() -> None:
    block = "{host: 127.0.0.1, group: g, tls: false, credentials: /etc/gridedge/broker-user}"
    made = parse(with_block(block), "site.yaml", FakeCatalogue()).site.sparkplug
    assert made is not None
    assert made.broker.credentials_file == "/etc/gridedge/broker-user"
