"""Every way to get a site file wrong that we could think of, each with where and why it is refused.

In the replacement text ``¶`` marks the line that the finding must name; it is taken out before reading.
"""

from __future__ import annotations

import pytest
from config_samples import SMALL, FakeCatalogue, changed

from controller.config.finding import Finding, SiteError
from controller.config.loader import parse, parse_site


def findings_of(text: str) -> tuple[Finding, ...]:
    with pytest.raises(SiteError) as caught:
        parse(text.encode(), "site.yaml", FakeCatalogue())
    return caught.value.findings


TEXT = [
    ("s_sc_mva: 200", "s_sc_mva:¶ 1e3", "network.source.s_sc_mva", "text"),
    ("s_sc_mva: 200", "s_sc_mva:¶ 0200", "network.source.s_sc_mva", "octal"),
    ("s_sc_mva: 200", "s_sc_mva:¶ 0x20", "network.source.s_sc_mva", "decimal"),
    ("s_sc_mva: 200", "s_sc_mva:¶ 1_000", "network.source.s_sc_mva", "plain decimal"),
    ("s_sc_mva: 200", "s_sc_mva:¶ 3:20", "network.source.s_sc_mva", "base 60"),
    ("s_sc_mva: 200", "s_sc_mva:¶ .nan", "network.source.s_sc_mva", "finite"),
    ("s_sc_mva: 200", "s_sc_mva:¶ -.inf", "network.source.s_sc_mva", "finite"),
    ("s_sc_mva: 200", "s_sc_mva:¶ 1.0e+999", "network.source.s_sc_mva", "too large"),
    ("s_sc_mva: 200", "s_sc_mva:¶ " + "9" * 5000, "network.source.s_sc_mva", "digits"),
    ("s_sc_mva: 200", "s_sc_mva:¶ !!float 200", "network.source.s_sc_mva", "tag"),
    ("s_sc_mva: 200", "s_sc_mva:¶ &x 200", "network.source.s_sc_mva", "anchors"),
    ("s_sc_mva: 200", "s_sc_mva:¶ *x", "network.source.s_sc_mva", "aliases"),
    ("s_sc_mva: 200", "s_sc_mva:¶ &" + "x" * 5000 + " 200", "network.source.s_sc_mva", "x…, expected"),
    ("s_sc_mva: 200", "s_sc_mva:¶ *" + "x" * 5000, "network.source.s_sc_mva", "x…, expected"),
    ("id: small,", "id: small,¶ title: " + "x" * 5000 + ",", "site.title", "a line of text"),
    ("id: small,", 'id: small, title:¶ "\\e[2Jall clear",', "site.title", "a line of text"),
    ("id: small,", 'id: small, title:¶ "\\u202ewols",', "site.title", "a line of text"),
    ("id: small,", "id:¶ " + "x" * 5000 + ",", "site.id", "at most 40"),
    ("id: small,", "id:¶ ../../etc/passwd,", "site.id", "a name"),
    ("    q_max_kvar: 1000", "    q_max_kvar: 1000\n    q_max_kvar:¶ 100", "units[0].q_max_kvar", "first in line"),
    ("    q_max_kvar: 1000", "    q_max_kvar: 1000\n    <<:¶ {bus: LV}", "units[0].<<", "merging"),
    ("    q_max_kvar: 1000", "    reports_available:¶ yes", "units[0].reports_available", "true or false"),
    ("    q_max_kvar: 1000", "    q_max_kvar: 1000\n    ? [a]¶\n    : 1", "units[0]", "not text"),
    ("site: {id: small", "site:¶ " + "{a: " * 20 + "{id: small", "site" + ".a" * 11, "more than 12 levels"),
    ("control: {", "control: '{", "(file)", "not YAML"),
    ("control: {", "---¶\ncontrol: {", "(file)", "---"),
]

SHAPE = [
    ("    p_rated_kw: 4000\n", "    p_rated_kw:¶ -4000\n", "units[0].p_rated_kw", "kW 0.1…1000000"),
    ("    p_rated_kw: 4000\n", "    p_rated_kw:¶ '4000'\n", "units[0].p_rated_kw", "remove the quotes"),
    ("    p_rated_kw: 4000\n", "    p_rated_kw:¶ 4000,5\n", "units[0].p_rated_kw", "decimal point"),
    ("    p_rated_kw: 4000\n", "    p_rated_kw:¶ true\n", "units[0].p_rated_kw", "kW"),
    ("    p_rated_kw: 4000\n", "    p_rated_kw:¶\n", "units[0].p_rated_kw", "nothing"),
    ("    p_rated_kw: 4000\n", "    p_rated_kw:¶ [4000]\n", "units[0].p_rated_kw", "a list"),
    ("  - id: PV1\n    kind: pv\n", "  - id: PV1¶\n", "units[0].kind", "one of pv, wind"),
    ("    kind: pv\n", "    kind:¶ solar\n", "units[0].kind", "one of pv, wind"),
    ("    q_max_kvar: 1000\n", "    q_max_kva:¶ 1000\n", "units[0].q_max_kva", "did you mean q_max_kvar?"),
    ("  - id: PV1\n", "  - id:¶ PV.1\n", "units[0].id", "a letter"),
    ("position: 1,", "position:¶ 1.5,", "network.transformers[0].tap.position", "whole step"),
    ("position: 1,", "position:¶ 9,", "network.transformers[0].tap.position", "-4…4"),
    ("site: {id: small, ", "site:¶ {", "site.id", "nothing"),
    ("timezone: Europe/London", "timezone: Europe/Londres¶", "site.timezone", "IANA"),
    ("control: {cycle_s: 1,", "control: {cycle_s: 0,¶", "control.cycle_s", "seconds 0.1…10"),
    ("control: {", "controls: {¶", "controls", "did you mean control?"),
    ("control: {cycle_s: 1, fail_safe_s: 5}", "control: fast¶", "control", "mapping"),
    ("endpoint: 10.0.0.1:502", "endpoint:¶ ten.0.0.1", "devices[0].endpoint", "host:port"),
    ("control: {", "platform:¶ {kind: none, url: http://x}\ncontrol: {", "platform.url", "https"),
]

NETWORK = [
    ("      lv_bus: LV\n", "      lv_bus:¶ HV\n", "network.transformers[0].lv_bus", "joins two buses"),
    ("u_hv_kv: 33\n      u_lv_kv: 11", "u_hv_kv:¶ 11\n      u_lv_kv: 33", "network.transformers[0].u_hv_kv", "swapped"),
    ("highest: 4, step", "highest: 45,¶ step", "network.transformers[0].tap.step_percent", "within 50 %"),
    ("source: {bus: HV,", "source: {bus: XX,¶", "network.source.bus", "known: END, HV, LV"),
    ("      to_bus: END", "      to_bus:¶ NOWHERE", "network.lines[0].to_bus", "known"),
    ("      to_bus: END", "      to_bus:¶ LV", "network.lines[0].to_bus", "joins two buses"),
    ("      to_bus: END", "      to_bus:¶ HV", "network.lines[0].to_bus", "same nominal voltage"),
    ("    - {id: END, u", "    - {id: EXTRA, u_nominal_kv: 11}¶\n    - {id: END, u", "network.buses[2]", "no line"),
    (
        "    - {id: END, u",
        "    - {id: LV, u_nominal_kv: 11}¶\n    - {id: END, u",
        "network.buses[2].id",
        "already used",
    ),
    ("    - id: L1", "    - id:¶ T1", "network.lines[0].id", "already used"),
    ("buses: [LV, END], below", "buses: [LV, 7], below¶", "limits.voltage[0].buses[1]", "a name"),
    (
        "      r_ohm_per_km: 0.2\n      x_ohm_per_km: 0.1",
        "      r_ohm_per_km: 0.2",
        "network.lines[0].x_ohm_per_km",
        "or neither",
    ),
    (
        "r_ohm_per_km: 0.2\n      x_ohm_per_km: 0.1",
        "r_ohm_per_km: 0\n      x_ohm_per_km:¶ 0",
        "network.lines[0].x_ohm_per_km",
        "impedance",
    ),
    (
        "      s_rated_mva: 5\n",
        "      s_rated_mva: 5\n      s_max_mva:¶ 5.5\n",
        "network.transformers[0].s_max_mva",
        "nameplate",
    ),
    ("      u_hv_kv: 33\n", "      u_hv_kv:¶ 132\n", "network.transformers[0].u_hv_kv", "within 20 %"),
    ("load_loss_kw: 30", "load_loss_kw:¶ 3000", "network.transformers[0].load_loss_kw", "more than uk_percent"),
    ("no_load_loss_kw: 5", "no_load_loss_kw: 50¶", "network.transformers[0].no_load_loss_kw", "loss alone"),
    ("{min: 100, expected: 500,", "{min: 600, expected: 500,¶", "network.loads[0].consumption_kw", "min ≤ expected"),
    (
        "consumption_kw: {min: 100, expected: 500, max: 1000}, ",
        "¶",
        "network.loads[0]",
        "consumption_kw or generation_kw",
    ),
]

UNITS = [
    ("    storage: {", "    generation_min_kw:¶ 10\n    storage: {", "units[1].generation_min_kw", "can rest"),
    ("q_max_kvar: 1000", "generation_min_kw:¶ 4001", "units[0].generation_min_kw", "generation_max_kw"),
    (
        "q_max_kvar: 1000\n    fail_safe: {generation_kw: 1000, lease_s: 10}",
        "q_max_kvar: 2000\n    fail_safe: {generation_kw: 4000, q_kvar: 1900}¶",
        "units[0].fail_safe.q_kvar",
        "within 4400 kVA",
    ),
    ("    bus: END\n    p_rated_kw: 4000\n", "    bus:¶ ENDE\n    p_rated_kw: 4000\n", "units[0].bus", "known"),
    ("  - id: BAT\n", "  - id:¶ PV1\n", "units[1].id", "already used"),
    ("  - id: BAT\n", "  - id:¶ all\n", "units[1].id", "instructions mean something else"),
    ("  - id: BAT\n", "  - id:¶ interface\n", "units[1].id", "instructions mean something else"),
    ("s_rated_kva: 4400", "s_rated_kva:¶ 3900", "units[0].s_rated_kva", "at least p_rated_kw"),
    ("q_max_kvar: 1000", "q_max_kvar:¶ 5000", "units[0].q_max_kvar", "rating"),
    ("q_max_kvar: 1000", "generation_max_kw:¶ 4100", "units[0].generation_max_kw", "built for"),
    ("q_max_kvar: 1000", "consumption_max_kw:¶ 10", "units[0].consumption_max_kw", "no consumption"),
    ("q_max_kvar: 1000", "storage:¶ {e_rated_kwh: 10}", "units[0].storage", "stores nothing"),
    (
        "    storage: {e_rated_kwh: 2000, soc_min_percent: 10, soc_max_percent: 90}\n",
        "",
        "units[1].storage",
        "energy content",
    ),
    (
        "soc_min_percent: 10, soc_max_percent: 90",
        "soc_min_percent:¶ 90, soc_max_percent: 90",
        "units[1].storage.soc_min_percent",
        "no room",
    ),
    (
        "soc_min_percent: 10,",
        "soc_min_percent: 10, soc_initial_percent:¶ 5,",
        "units[1].storage.soc_initial_percent",
        "10…90",
    ),
    (
        "{generation_kw: 1000, lease_s: 10}",
        "{generation_kw:¶ 4001, lease_s: 10}",
        "units[0].fail_safe.generation_kw",
        "outside the range",
    ),
    ("{generation_kw: 1000, lease_s: 10}", "{consumption_kw: 0, lease_s: 10}¶", "units[0].fail_safe", "generation_kw"),
    ("{generation_kw: 1000, lease_s: 10}", "{lease_s: 10}¶", "units[0].fail_safe", "no power"),
    ("{generation_kw: 0}", "{generation_kw: 0, consumption_kw: 0}¶", "units[1].fail_safe", "one stated power"),
    (
        "{generation_kw: 1000, lease_s: 10}",
        "{generation_kw: 1000, q_kvar:¶ 1001}",
        "units[0].fail_safe.q_kvar",
        "q_max_kvar",
    ),
    (
        "{generation_kw: 1000, lease_s: 10}",
        "{generation_kw: 1000, lease_s:¶ 2.9}",
        "units[0].fail_safe.lease_s",
        "3 cycles",
    ),
    ("q_max_kvar: 1000", "connected_on:¶ 2023-02-30", "units[0].connected_on", "date"),
]

DEVICES = [
    ("{p_w: -branch.L1.p_w", "{p_w: interface.X.p_w¶", "devices[1].feeds.p_w", "takes no id"),
    ("unit_address: 7", "poll_s:¶ 1.1", "devices[1].poll_s", "two lost polls"),
    ("unit_address: 7", "stale_s:¶ 4.5", "devices[1].stale_s", "fail_safe_s"),
    ("unit_address: 7", "timeout_s:¶ 3", "devices[1].timeout_s", "stale on arrival"),
    ("unit_address: 7", "unit: PV1", "devices[2].unit", "one device for one unit"),
    ("unit: PV1}", "unit: PV2}¶", "devices[2].unit", "known"),
    (
        "endpoint: 10.0.0.2:502\n    unit_address: 7",
        "endpoint:¶ 10.0.0.1:502",
        "devices[1].endpoint",
        "address of its own",
    ),
    ("endpoint: 10.0.0.2:502", "endpoint:¶ opc.tcp://10.0.0.2:4840", "devices[1].endpoint", "protocol is modbus"),
    ("endpoint: 10.0.0.2:502", "endpoint:¶ 10.0.0.2:70000", "devices[1].endpoint", "1…65535"),
    ("endpoint: 10.0.0.2:502", "endpoint:¶ rtu:///dev/ttyS0?baud=19201", "devices[1].endpoint", "baud=19200"),
    ("endpoint: 10.0.0.2:502", "endpoint:¶ rtu:///dev/ttyS0?baud=9600&baud=1200", "devices[1].endpoint", "rtu:///dev"),
    ("endpoint: 10.0.0.2:502", "endpoint:¶ rtu+tcp://10.0.0.1:502", "devices[1].endpoint", "share one connection"),
    (
        "endpoint: 10.0.0.2:502",
        "endpoint: 10.0.0.2:502\n    options:¶ {ca_file: /etc/gridedge/ca.pem}",
        "devices[1].options",
        "is not modbus+tls://",
    ),
    (
        "endpoint: 10.0.0.2:502",
        "endpoint: modbus+tls://10.0.0.2\n    options:¶ {certificate_file: /c.pem, private_key_file: /k.pem}",
        "devices[1].options",
        "ca_file, server_certificate_file or both",
    ),
    (
        "endpoint: 10.0.0.2:502",
        "endpoint: modbus+tls://10.0.0.2\n    options:¶ {ca_file: /ca.pem, certificate_file: /c.pem}",
        "devices[1].options",
        "private_key_file",
    ),
    (
        "profile: hub,",
        "profile: hub, options:¶ {certificate_file: /c.pem, private_key_file: /k.pem},",
        "devices[4].options",
        "server_certificate_file",
    ),
    (
        "profile: hub,",
        (
            "profile: hub, options:¶ {certificate_file: /c.pem, private_key_file: /k.pem,"
            " server_certificate_file: /s.pem, username: me},"
        ),
        "devices[4].options",
        "password_file",
    ),
    ("profile: hub,", "profile: hub, unit_address: 3,¶", "devices[4].unit_address", "OPC UA"),
    ("profile: store,", "profile: store, delivery: read,¶", "devices[3].delivery", "only OPC UA"),
    ("profile: store,", "profile: store, serial_number: A7,¶", "devices[3].serial_number", "knows no register"),
    ("profile: inverter,", "profile: inverter, serial_number: ' A7',¶", "devices[2].serial_number", "a serial number"),
    ("profile: hub,", "profile: huub,¶", "devices[4].profile", "installed"),
    ("profile: store,", "profile: inverter,¶", "devices[3].profile", "command p_w"),
    ("profile: store,", "profile: hub,¶", "devices[3].protocol", "speaks opcua"),
    ("    q_max_kvar: 1000", "    q_max_kvar: 1000\n    reports_available: true", "devices[2].profile", "p_avail_w"),
    ("    p_rated_kw: 500\n", "    p_rated_kw: 500\n    q_max_kvar: 100\n", "devices[4].profile", "reactive"),
    ("i_a: branch.L1.i_a}", "i_1_a: branch.L1.i_a}¶", "devices[1].feeds.i_1_a", "a point of profile"),
    ("i_a: branch.L1.i_a}", "i_a: branch.L9.i_a}¶", "devices[1].feeds.i_a", "no branch 'L9'"),
    ("i_a: branch.L1.i_a}", "i_a: branch.L1.u_v}¶", "devices[1].feeds.i_a", "branch has"),
    ("i_a: branch.L1.i_a}", "i_a: branch.L1.p_w}¶", "devices[1].feeds.i_a", "not of one unit"),
    ("i_a: branch.L1.i_a}", "i_a: -branch.L1.i_a}¶", "devices[1].feeds.i_a", "no direction"),
    ("i_a: branch.L1.i_a}", "i_a: line L1}¶", "devices[1].feeds.i_a", "not a point"),
    ("i_a: branch.L1.i_a}", "i_a: branch.T1.i_a}¶", "devices[1].feeds.i_a", "one device for one point"),
    (
        "i_a: branch.L1.i_a}",
        "i_a: branch.L1.i_a, u_v: bus.LV.u_v}¶",
        "devices[1].feeds.u_v",
        "one device for one point",
    ),
    (
        "    feeds: {p_w: -branch.L1.p_w, q_var: -branch.L1.q_var, i_a: branch.L1.i_a}\n",
        "",
        "devices[1]",
        "neither feeds nor unit",
    ),
]

LIMITS = [
    ("    - branch: T1", "    - branch:¶ T2", "limits.thermal[0].branch", "known: L1, T1"),
    ("    - branch: T1", "    - branch: L1", "limits.thermal[1].branch", "already limited"),
    ("i_max_a: 250", "i_max_a:¶ 301", "limits.thermal[1].i_max_a", "rating of L1"),
    ("[LV, END], below", "[LV, END2], below¶", "limits.voltage[0].buses[1]", "known"),
    ("below_percent: 6, above_percent: 6", "above_percent: 6¶", "limits.voltage[0]", "both edges"),
    ("below_percent: 6, above_percent: 6", "low_kv: 11.2, high_kv: 11.6¶", "limits.voltage[0].low_kv", "11 kV nominal"),
    (
        "below_percent: 6, above_percent: 6",
        "below_percent: 0, above_percent: 0¶",
        "limits.voltage[0].above_percent",
        "width",
    ),
    ("export_kw: 3000", "export_kw:¶ -3000", "limits.export_kw", "kW 0…"),
    ("export_kw: 3000", "export_kw:¶ 800", "limits.export_kw", "lower fail_safe of PV1"),
    ("export_kw: 3000", "import_kw:¶ 1000", "limits.import_kw", "lower fail_safe of EV"),
    ("i_max_a: 250", "i_max_a:¶ 50", "limits.thermal[1]", "lower fail_safe of PV1"),
]

UNSEEN = [
    ("i_a: branch.L1.i_a}", "f_hz: 5}¶", "devices[1].feeds.f_hz", "expected text"),
    (
        "{p_w: -branch.L1.p_w, q_var: -branch.L1.q_var, i_a: branch.L1.i_a}",
        "{p_w: branch.L1.p_w}",
        "limits.thermal[1]",
        "nothing measures",
    ),
    (
        "{p_w: -branch.L1.p_w, q_var: -branch.L1.q_var, i_a: branch.L1.i_a}",
        "{i_a: branch.L1.i_a}",
        "limits.voltage[0].buses[1]",
        "nothing measures",
    ),
    ("{p_w: branch.T1.p_w, q_var", "{q_var", "limits.export_kw", "nothing measures"),
    (
        '  - {id: DPV, protocol: modbus, endpoint: "10.0.0.3:502", profile: inverter, unit: PV1}\n',
        "",
        "units[0]",
        "nothing commands it",
    ),
    (
        "profile: inverter, unit: PV1}",
        "profile: inverter, unit: PV1, feeds: {p_w: interface.p_w}}",
        "units[0]",
        "feeds unit.PV1.p_w",
    ),
]

CASES = [*TEXT, *SHAPE, *NETWORK, *UNITS, *DEVICES, *LIMITS, *UNSEEN]


@pytest.mark.parametrize(("old", "new", "path", "word"), CASES, ids=[f"{c[2]}: {c[3] or c[1][:20]}" for c in CASES])
def test_a_mistake_is_refused_with_its_place_and_reason(old: str, new: str, path: str, word: str) -> None:
    text = changed(old, new)
    found = findings_of(text.replace("¶", ""))
    here = [finding for finding in found if finding.path == path and word in finding.text("site.yaml")]
    assert here, "\n".join(finding.text("site.yaml") for finding in found)
    if "¶" in text:
        assert here[0].line == text[: text.index("¶")].count("\n") + 1, here[0]


@pytest.mark.parametrize(("old", "new", "path", "word"), CASES, ids=[f"{c[2]}: {c[3] or c[1][:20]}" for c in CASES])
def test_one_mistake_does_not_set_off_an_avalanche(old: str, new: str, path: str, word: str) -> None:
    found = findings_of(changed(old, new).replace("¶", ""))
    assert len(found) <= 5, "\n".join(finding.text("site.yaml") for finding in found)


def test_the_small_site_itself_is_right() -> None:
    assert parse(SMALL.encode(), "site.yaml", FakeCatalogue()).profiles_checked
    assert parse_site(SMALL, "site.yaml").name == "small"


def test_all_mistakes_are_listed_at_once_whatever_their_kind() -> None:
    text = changed("s_sc_mva: 200", "s_sc_mva: 1e3")
    text = changed("    q_max_kvar: 1000", "    q_max_kva: 1000", text)
    text = changed("unit_address: 7", "poll_s: 2", text)
    text = changed("    - branch: T1", "    - branch: T9", text)
    text = changed("lease_s: 10", "lease_s: 1", text)
    text = changed("      to_bus: END", "      to_bus: NOWHERE", text)
    with pytest.raises(SiteError) as caught:
        parse(text.encode(), "site.yaml", FakeCatalogue())
    listed = str(caught.value).splitlines()
    assert len(listed) == len(caught.value.findings)
    for path in ("source.s_sc_mva", "units[0].q_max_kva", "devices[1].poll_s", "thermal[0].branch", "lines[0].to_bus"):
        assert any(path in line for line in listed), path


def test_of_thousands_of_mistakes_the_first_are_told_and_how_many_more_there_are() -> None:
    with pytest.raises(SiteError) as caught:
        parse((SMALL + "".join(f"k{k}: 1\n" for k in range(3000))).encode(), "site.yaml", FakeCatalogue())
    assert len(caught.value.findings) == 3000
    *listed, last = str(caught.value).splitlines()
    assert len(listed) == 200
    assert last == "site.yaml: … and 2800 more"


def test_a_finding_reads_like_a_compiler_message() -> None:
    found = findings_of(changed("unit_address: 7", "poll_s: 0"))
    line = SMALL[: SMALL.index("unit_address: 7")].count("\n") + 1
    text = f"site.yaml:{line}: devices[1].poll_s: found 0, expected seconds 0.05…60 (Time between two polls)"
    assert [finding.text("site.yaml") for finding in found] == [text]


def test_a_file_without_limits_has_nothing_to_keep() -> None:
    start = SMALL.index("limits:")
    found = findings_of(SMALL[:start] + "limits: {}\n" + SMALL[SMALL.index("control:") :])
    assert [finding.path for finding in found] == ["limits"]


def test_a_site_without_a_source_is_refused() -> None:
    found = findings_of(changed("  source: {bus: HV, s_sc_mva: 200, rx_ratio: 0.2}\n", ""))
    assert [(finding.path, finding.value) for finding in found] == [("network.source", "nothing")]


def test_two_units_cannot_share_a_place_in_the_stack() -> None:
    text = changed("    q_max_kvar: 1000", "    q_max_kvar: 1000\n    stack_position: 2")
    text = changed("    p_rated_kw: 500\n", "    p_rated_kw: 500\n    stack_position: 2\n", text)
    assert [finding.path for finding in findings_of(text)] == ["units[2].stack_position"]


OPEN = ("profile: inverter, unit: PV1}", "profile: open_inverter, unit: PV1}")


def test_a_unit_whose_device_fails_open_needs_something_else_that_covers_it() -> None:
    (finding,) = findings_of(changed(*OPEN))
    assert finding.path == "devices[2].covered_by"
    assert "fails open: silent, unit PV1 may be anywhere up to its most" in finding.message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unit: PV1}", "unit: PV1, covered_by: G100 export limiter}"),
        ("fail_safe: {generation_kw: 1000, lease_s: 10}", "fail_safe: {generation_kw: 4000, lease_s: 10}"),
    ],
)
def test_a_unit_that_is_covered_or_safe_at_its_most_may_fail_open(old: str, new: str) -> None:
    text = changed("export_kw: 3000", "export_kw: 5000", changed(old, new, changed(*OPEN)))
    assert parse(text.encode(), "site.yaml", FakeCatalogue()).site.devices[2].profile == "open_inverter"
