"""What a host asks for: a rebirth, or it is refused. Set points and limits come by OpenADR and the market only."""

from __future__ import annotations

from controller.balancing.sparkplug.decoding import decode
from controller.balancing.sparkplug.node import REBIRTH
from controller.balancing.sparkplug.payload import Metric
from controller.balancing.sparkplug.topics import Topics
from controller.balancing.sparkplug.wire import Malformed

COMMAND_BYTES_MAX = 65_536
_SHOWN_MAX = 80


def judge(topics: Topics, topic: str, body: bytes, retained: bool, rebirth_alias: int) -> tuple[bool, list[str]]:
    """Whether a rebirth is wanted, and why the rest is refused. A retained command is none: its time is not known."""
    if retained:
        return False, ["a retained command"]
    if len(body) > COMMAND_BYTES_MAX:
        return False, [f"{len(body)} bytes; expected at most {COMMAND_BYTES_MAX}"]
    try:
        metrics = decode(body).metrics
    except Malformed as error:
        return False, [f"malformed: {error}"]
    if topic != topics.of("NCMD"):
        return False, [f"a command to a device: {_shown(metric)}" for metric in metrics] or ["a command to a device"]
    wanted = [metric for metric in metrics if _is_rebirth(metric, rebirth_alias)]
    return bool(wanted), [f"a command to {_shown(metric)}" for metric in metrics if metric not in wanted]


def _is_rebirth(metric: Metric, alias: int) -> bool:
    named = metric.name == REBIRTH.name if metric.name is not None else metric.alias == alias
    return named and metric.value is True


def _shown(metric: Metric) -> str:
    return f"{metric.name or metric.alias}"[:_SHOWN_MAX]
