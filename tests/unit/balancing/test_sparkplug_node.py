"""The edge node says what Sparkplug 3.0.0 demands, in its order; a host that counts along understands it.

Where a test proves a conformance statement of the specification, it names it (without ``tck-id-``).
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparkplug_kit import NOW_MS, SITE, TOPICS, Host, born, message, read, record, value_of

from controller.balancing.sparkplug.commands import COMMAND_BYTES_MAX, judge
from controller.balancing.sparkplug.host import STATE_BYTES_MAX, HostWatch
from controller.balancing.sparkplug.node import EdgeNode
from controller.balancing.sparkplug.payload import DataType, Metric, Payload, encode

BATTERIES = [unit.id for unit in SITE.units if unit.storage is not None]


def test_the_birth_says_everything_that_is_known() -> None:
    """payloads-nbirth-seq, -nbirth-bdseq, -nbirth-rebirth-req, -dbirth-order, -alias-uniqueness (the host checks)"""
    _, host = born()
    assert host.kinds == ["NBIRTH", *(f"DBIRTH/{unit.id}" for unit in sorted(SITE.units, key=lambda u: u.id))]
    assert host.now["", "bdSeq"] == 7
    assert host.now["", "Node Control/Rebirth"] is False
    assert host.now["", "Site/mode"] == "normal"
    assert host.now["", f"Limits/{SITE.limits[0].id}/loading_frac"] == 0.5
    assert host.now["PVA", "p_w"] == -1000.0
    assert host.now["", "Period/Units/PVA/p_w/mean"] is None


def test_births_carry_names_aliases_types_and_instants() -> None:
    """payloads-alias-birth-requirement, -metric-datatype-req, -name-birth-data-requirement, -nbirth-timestamp"""
    node = EdgeNode(SITE, TOPICS)
    node.session(0, NOW_MS)
    node.observe(record(0))
    for packet in node.birth(NOW_MS):
        birth = read(packet.payload)
        assert (birth.timestamp, packet.qos) == (NOW_MS, 0)
        instants = [metric.timestamp for metric in birth.metrics]
        assert instants == sorted(instants)  # operational-behavior-data-publish-nbirth-order
        for metric in birth.metrics:
            assert all(metric.HasField(name) for name in ("name", "alias", "datatype", "timestamp"))


def test_rebirth_is_a_boolean_and_bdseq_an_int64() -> None:
    """operational-behavior-data-commands-rebirth-datatype, message-flow-edge-node-birth-publish-nbirth-payload-bdSeq"""
    node = EdgeNode(SITE, TOPICS)
    node.session(255, NOW_MS)
    types = {metric.name: metric.datatype for metric in read(node.birth(NOW_MS)[0].payload).metrics}
    assert (types["Node Control/Rebirth"], types["bdSeq"]) == (11, 4)


def test_the_death_names_the_session_and_has_no_number() -> None:
    """payloads-ndeath-seq, -ndeath-bdseq, -ndeath-will-message-qos"""
    will = EdgeNode(SITE, TOPICS).session(41, NOW_MS)
    death = read(will.payload)
    assert (will.topic, will.qos) == ("spBv1.0/fleet/NDEATH/demo", 1)
    assert not death.HasField("seq")
    assert [(metric.name, value_of(metric)) for metric in death.metrics] == [("bdSeq", 41)]


def test_data_has_aliases_only() -> None:
    """payloads-alias-data-cmd-requirement, -ndata-timestamp, -ddata-timestamp"""
    node, _ = born()
    node.observe(record(5))
    packets = node.live(NOW_MS + 5000)
    assert [packet.topic.split("/")[2] for packet in packets] == ["DDATA"] * len(SITE.units)
    for packet in packets:
        data = read(packet.payload)
        assert data.timestamp == NOW_MS + 5000
        for metric in data.metrics:
            assert metric.HasField("alias")
            assert not metric.HasField("name")
            assert not metric.HasField("datatype")


def test_what_has_not_changed_is_not_sent_again() -> None:
    """operational-behavior-data-publish-nbirth-change, -dbirth-change"""
    node, host = born()
    node.observe(record(0))
    assert node.live(NOW_MS + 1000) == []
    changed = record(0)
    changed["units"][0]["p_w"] = -7.0
    node.observe(changed)
    host.hear_all(node.live(NOW_MS + 2000))
    assert [name for name, *_ in host.told] == ["p_w"]
    assert node.live(NOW_MS + 3000) == []


def test_numbers_run_to_255_and_begin_anew_over_all_kinds_of_messages() -> None:
    """payloads-sequence-num-incrementing, -ndata-seq-inc, -ddata-seq-inc (the host refuses anything else)"""
    node, host = born()
    for k in range(300):
        node.observe(record(k, lost=("PVA",) if k % 7 == 3 else ()))
        host.hear_all(node.live(NOW_MS + k))
        host.hear_all(node.stored(message(k), k % 2 == 0, NOW_MS + k))
    assert {"DDEATH/PVA", "DBIRTH/PVA", "NDATA", "DDATA/PVA"} <= set(host.kinds)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.sets(st.sampled_from(["PVA", *BATTERIES]), max_size=2)),
        st.tuples(st.just("late"), st.integers(0, 9)),
        st.tuples(st.just("new"), st.integers(0, 9)),
        st.sampled_from([("silent", 0), ("rebirth", 0), ("session", 0), ("limit", 3), ("limit", 4)]),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(STEPS)
def test_whatever_happens_a_host_that_counts_along_knows_what_the_node_knows(steps: list[tuple[str, object]]) -> None:
    node, host = born()
    last = record(0)
    for k, (what, how) in enumerate(steps):
        at_ms = NOW_MS + 1000 * k
        if what == "record":
            last = record(k, lost=tuple(sorted(how)))  # type: ignore[call-overload]
            node.observe(last)
        elif what in ("late", "new"):
            host.hear_all(node.stored(message(k + int(how)), what == "late", at_ms))  # type: ignore[call-overload]
        elif what == "silent":
            last = {"limits": [], "units": [], "mode": None}
            node.silent(at_ms)
        elif what == "limit":
            extra = [*record(k)["limits"], {"id": f"calendar.{how}", "kind": "export", "quality": "measured"}]
            last = record(k, limits=extra)
            node.observe(last)
        elif what == "session":
            node.session(k, at_ms)
            host.hear_all(node.birth(at_ms))
        else:
            host.hear_all(node.birth(at_ms))
        host.hear_all(node.live(at_ms))
        assert host.now["", "Site/mode"] == last["mode"]
        assert host.alive == {unit["id"] for unit in last["units"] if unit["status"] != "lost"}
        for unit in last["units"]:
            if unit["id"] in host.alive:
                assert host.now[unit["id"], "p_w"] == unit["p_w"]


def test_a_lost_unit_is_a_dead_device_until_it_is_back() -> None:
    """operational-behavior-device-ddeath; payloads-ddeath-seq-inc"""
    node, host = born()
    node.observe(record(1, lost=("PVA",)))
    host.hear_all(node.live(NOW_MS + 1000))
    assert "PVA" not in host.alive
    node.observe(record(2))
    host.hear_all(node.live(NOW_MS + 2000))
    assert host.kinds[-len(SITE.units) :].count("DBIRTH/PVA") == 1
    assert host.now["PVA", "p_w"] == -1002.0


def test_nothing_is_shown_as_good_while_the_control_process_is_silent() -> None:
    node, host = born()
    node.silent(NOW_MS + 9000)
    host.hear_all(node.live(NOW_MS + 9000))
    assert host.alive == set()
    of_site = [key for key in host.now if not key[0] and key[1].startswith(("Site/", "Limits/"))]
    assert of_site
    assert {(host.now[key], host.quality[key]) for key in of_site} <= {(None, 500), (None, 0)}


@pytest.mark.parametrize("value", [None, float("nan"), "12", True])
def test_a_value_that_is_no_number_is_null_and_bad(value: object) -> None:
    node, host = born()
    changed = record(1)
    changed["units"][0]["p_w"] = value
    node.observe(changed)
    host.hear_all(node.live(NOW_MS))
    key = (changed["units"][0]["id"], "p_w")
    assert (host.now[key], host.quality[key]) == (None, 0)


def test_a_limit_on_a_worst_case_shows_the_worst_case_and_no_estimate() -> None:
    limits = record(1)["limits"]
    limits[0]["quality"] = "worst_case"
    _, host = born(limits=limits)
    folder = f"Limits/{SITE.limits[0].id}"
    assert (host.now["", f"{folder}/value"], host.quality["", f"{folder}/value"]) == (None, 0)
    assert (host.now["", f"{folder}/worst"], host.now["", f"{folder}/quality"]) == (101.0, "worst_case")


def test_a_limit_that_is_gone_is_not_shown_with_its_last_value() -> None:
    extra = {"id": "calendar.night", "kind": "export", "quality": "measured", "value": 5.0}
    node, host = born(limits=[*record(0)["limits"], extra])
    assert host.now["", "Limits/calendar.night/value"] == 5.0
    node.observe(record(1))
    host.hear_all(node.live(NOW_MS))
    key = ("", "Limits/calendar.night/value")
    assert (host.now[key], host.quality[key]) == (None, 500)


def test_something_new_is_born_before_it_is_told() -> None:
    """operational-behavior-data-publish-nbirth: a birth has every metric that the session will tell"""
    node, host = born()
    body = '{"samples":{"limit.calendar.night.worst":[60,1.0,0.5,2.0]}}'
    before = len(host.kinds)
    host.hear_all(node.stored(message(1, body=body), False, NOW_MS))
    assert host.kinds[before] == "NBIRTH"
    assert host.kinds[-1] == "NDATA"
    assert host.now["", "Period/Limits/calendar.night/worst/mean"] == 1.0


def test_what_is_late_is_marked_historical_and_is_no_current_value() -> None:
    node, host = born()
    host.hear_all(node.stored(message(3), True, NOW_MS))
    assert [(name, value) for name, _, value in host.late] == [
        ("Stored/key", "demo/3/samples"),
        ("Period/Units/PVA/p_w/n", 60),
        ("Period/Units/PVA/p_w/mean", -5.5),
        ("Period/Units/PVA/p_w/low", -6.0),
        ("Period/Units/PVA/p_w/high", -5.0),
    ]
    assert {at_ms for _, at_ms, _ in host.late} == {NOW_MS + 180_000}
    host.hear_all(node.birth(NOW_MS))
    assert host.now["", "Period/Units/PVA/p_w/mean"] is None
    host.hear_all(node.stored(message(4), False, NOW_MS))
    host.hear_all(node.birth(NOW_MS))
    assert host.now["", "Period/Units/PVA/p_w/mean"] == -5.5
    node.session(8, NOW_MS)
    host.hear_all(node.birth(NOW_MS))
    assert host.now["", "Period/Units/PVA/p_w/mean"] is None


def test_events_of_one_instant_are_one_value_and_the_instants_rise() -> None:
    """operational-behavior-data-publish-nbirth-order"""
    node, host = born()
    events = [[2.0, "limit.bound", "T1", "a"], [2.0, "mode.changed", "", "b"], [1.0, "unit.lost", "PVA", "c"]]
    host.hear_all(node.stored(message(1, "events", json.dumps({"events": events})), False, NOW_MS))
    said = [(at_ms, json.loads(value)) for name, at_ms, value in host.told if name == "Events"]
    assert [(at_ms, [event["subject"] for event in events]) for at_ms, events in said] == [
        (1000, ["PVA"]),
        (2000, ["T1", ""]),
    ]


@pytest.mark.parametrize(
    ("topic", "body", "name", "value"),
    [
        ("curtailments", {"curtailments": [{"unit": "PVA"}]}, "Curtailments", [{"unit": "PVA"}]),
        ("gaps", {"gaps": [[1.0, 2.0, 0, "why"]]}, "Gaps", [[1.0, 2.0, 0, "why"]]),
        ("gaps", {"dropped": {"samples": {"count": 3}}}, "Gaps", {"dropped": {"samples": {"count": 3}}}),
        ("orders", {"what": "ever"}, "Stored/orders", {"what": "ever"}),
    ],
)
def test_every_kind_of_message_arrives_whole(topic: str, body: dict[str, object], name: str, value: object) -> None:
    node, host = born()
    host.hear_all(node.stored(message(1, topic, json.dumps(body)), False, NOW_MS))
    assert json.loads(host.now["", name]) == value
    assert host.now["", "Stored/key"] == f"demo/1/{topic}"


def test_units_of_values_are_said_at_birth() -> None:
    node = EdgeNode(SITE, TOPICS)
    node.session(0, NOW_MS)
    node.observe(record(0))
    units = {}
    for packet in node.birth(NOW_MS):
        for metric in read(packet.payload).metrics:
            said = dict(zip(metric.properties.keys, metric.properties.values, strict=True))
            units[metric.name] = said["engUnit"].string_value if "engUnit" in said else ""
    assert (units["p_w"], units["q_var"], units["Site/given_up_w"], units["status"]) == ("W", "var", "W", "")
    by_kind = {limit.kind.value: units[f"Limits/{limit.id}/value"] for limit in SITE.limits}
    assert by_kind["thermal"] == "A"


def command(*metrics: Metric) -> bytes:
    return encode(Payload(NOW_MS, metrics))


REBIRTH = Metric(DataType.BOOLEAN, True, NOW_MS, "Node Control/Rebirth")


@pytest.mark.parametrize(
    "metric", [REBIRTH, replace(REBIRTH, name=None, alias=2), replace(REBIRTH, name=None, alias=2, typed=False)]
)
def test_a_rebirth_is_understood_by_its_name_and_by_its_alias(metric: Metric) -> None:
    assert EdgeNode(SITE, TOPICS).rebirth_alias == 2
    assert judge(TOPICS, TOPICS.of("NCMD"), command(metric), False, 2) == (True, [])


@pytest.mark.parametrize(
    ("kind", "body", "retained", "reason"),
    [
        ("NCMD", command(replace(REBIRTH, value=False)), False, "a command to Node Control/Rebirth"),
        ("NCMD", command(replace(REBIRTH, name="Node Control/Reboot")), False, "a command to Node Control/Reboot"),
        ("NCMD", command(Metric(DataType.DOUBLE, 0.0, name="Site/export_limit_w")), False, "Site/export_limit_w"),
        ("NCMD", command(replace(REBIRTH, name=None, alias=9)), False, "a command to 9"),
        ("NCMD", command(REBIRTH), True, "retained"),
        ("NCMD", b"\xff", False, "malformed"),
        ("NCMD", bytes(COMMAND_BYTES_MAX + 1), False, "at most"),
        ("DCMD/PVA", command(Metric(DataType.DOUBLE, 0.0, name="p_set_w")), False, "to a device: p_set_w"),
        ("DCMD/PVA", command(REBIRTH), False, "to a device"),
    ],
)
def test_no_other_command_is_acted_on_and_each_is_refused_with_its_reason(
    kind: str, body: bytes, retained: bool, reason: str
) -> None:
    verb, _, device = kind.partition("/")
    rebirth, refused = judge(TOPICS, TOPICS.of(verb, device), body, retained, 2)
    assert not rebirth
    assert len(refused) == 1
    assert reason in refused[0]


def state(online: object, told_ms: object) -> bytes:
    return json.dumps({"online": online, "timestamp": told_ms}).encode()


def test_the_newest_word_of_the_primary_host_counts() -> None:
    """message-flow-edge-node-birth-publish-phid-wait-online, -phid-wait-timestamp, -phid-offline"""
    watch = HostWatch()
    assert not watch.online
    assert watch.hear(state(True, 1000), 2000) == ""
    assert watch.online
    assert "before the last word" in watch.hear(state(False, 999), 2000)
    assert watch.online
    assert watch.hear(state(False, 1000), 2000) == ""
    assert not watch.online


def test_a_host_whose_clock_was_ahead_can_take_its_word_back() -> None:
    watch = HostWatch()
    assert watch.hear(state(False, 9_000_000), 2000) == ""
    assert watch.hear(state(True, 2500), 3000) == ""
    assert watch.online


@pytest.mark.parametrize(
    "body",
    [b"ONLINE", b"", b"[]", state("true", 1), state(1, 1), state(True, "1"), state(True, None), state(True, 1.5),
     b"[" * 3000, b" " * (STATE_BYTES_MAX + 1)],
)  # fmt: skip
def test_what_is_no_word_of_the_host_is_not_believed(body: bytes) -> None:
    watch = HostWatch()
    assert watch.hear(body, NOW_MS)
    assert not watch.online


def test_a_host_that_missed_a_message_would_notice() -> None:
    """The host of these tests counts: it is the one that proves the numbers."""
    node, host = born()
    node.stored(message(1), False, NOW_MS)
    with pytest.raises(AssertionError):
        host.hear_all(node.stored(message(2), False, NOW_MS))
    assert isinstance(host, Host)
