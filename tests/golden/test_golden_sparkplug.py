"""What a fleet's broker reads from us does not change by accident: whole payloads, byte by byte and in words.

A change here is a change of what hosts get to read: look at it, then write the file anew with
``python tests/golden/test_golden_sparkplug.py``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "balancing"))

from sparkplug_kit import NOW_MS, SITE, TOPICS, message, read, record

from controller.balancing.mqtt.packet import Packet
from controller.balancing.sparkplug.node import EdgeNode

GOLDEN = Path(__file__).with_name("sparkplug_exchange.json")
EVENTS = '{"events":[[1780000001.5,"limit.bound","T1.thermal","100.2 % of thermal limit"]]}'


def exchange() -> list[Packet]:
    """A session of a site with one battery and one limit, from its will to its death."""
    units = tuple(unit for unit in SITE.units if unit.storage is not None)[:1]
    node = EdgeNode(replace(SITE, units=units, limits=SITE.limits[:1]), TOPICS)
    ours = {unit.id for unit in units}

    def cut(seq: int, **changes: Any) -> dict[str, Any]:
        whole = record(seq, **changes)
        return whole | {"units": [u for u in whole["units"] if u["id"] in ours], "limits": whole["limits"][:1]}

    packets = [node.session(7, NOW_MS)]
    node.observe(cut(0))
    packets += node.birth(NOW_MS)
    node.observe(cut(1, mode="degraded"))
    packets += node.live(NOW_MS + 1000)
    packets += node.stored(message(1, "events", EVENTS), False, NOW_MS + 2000)
    body = f'{{"samples":{{"unit.{units[0].id}.p_w":[60,-5.5,-6.0,-5.0]}}}}'
    packets += node.stored(message(2, body=body), True, NOW_MS + 3000)
    node.observe(cut(2, lost=tuple(ours)))
    packets += node.live(NOW_MS + 4000)
    return [*packets, node.death(NOW_MS + 5000)]


def in_words(packet: Packet) -> dict[str, Any]:
    """As Google's Protocol Buffers read it, with the bytes beside it."""
    metrics = []
    for metric in read(packet.payload).metrics:
        said = {field.name: value for field, value in metric.ListFields() if field.name != "properties"}
        for key, value in zip(metric.properties.keys, metric.properties.values, strict=True):
            said[key] = getattr(value, value.WhichOneof("value"))
        metrics.append(" ".join(f"{key}={value}" for key, value in said.items()))
    payload = read(packet.payload)
    seq = payload.seq if payload.HasField("seq") else None
    head = {"topic": packet.topic, "qos": packet.qos, "timestamp": payload.timestamp, "seq": seq}
    return head | {"metrics": metrics, "hex": packet.payload.hex()}


def test_a_whole_session_reads_as_it_did() -> None:
    now = [in_words(packet) for packet in exchange()]
    assert now == json.loads(GOLDEN.read_text(encoding="utf-8"))


if __name__ == "__main__":
    written = json.dumps([in_words(packet) for packet in exchange()], indent=1)
    GOLDEN.write_text(written + "\n", encoding="utf-8")
