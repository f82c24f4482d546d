"""``gridedge cosim``: the real core driven over JSON lines on stdin and stdout, in lock-step.

The exchange counts DER in generator convention; the sign is flipped here, at the border. Nothing is read but what is
sent: no file, no clock. With ``--record`` every cycle is also written down, for ``gridedge replay``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import click

from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.cosim_check import check_reset
from controller.cosim_planning import CosimPlanning
from controller.cosim_site import site_from_reset
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.grid.model import PowerFlowError
from controller.recording.format import Cycle
from controller.recording.writer import Writer

REPEAT_S = 2.0  # the exchange has no leases: what did not arrive is sent again
NEVER = math.nan, math.nan, -math.inf
FLIPPED = ("p_w", "q_var", "p_avail_w")


class ExchangeError(Exception):
    """A message that cannot be understood; says which line and why."""


class Session:
    """One controller driven by one co-simulation; every cycle goes to ``writer`` as well, if there is one."""

    def __init__(self, writer: Writer | None = None) -> None:
        self._writer = writer
        self._site: Site | None = None
        self._state: ControlState | None = None
        self._planning: CosimPlanning | None = None
        self._sent: dict[str, tuple[float, float, float]] = {}

    def handle(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer to one message; None when the exchange has no answer to it."""
        if not isinstance(message, Mapping):
            raise ExchangeError(f"message is {message!r:.60}; expected an object")
        kind = message.get("type")
        if kind == "reset":
            check_reset(message.get("network"), message.get("scenario"))
            self._site = site_from_reset(message["network"], message["scenario"])
            self._state, self._sent = initial_state(self._site), {}
            self._planning = CosimPlanning(self._site, self._state)
            if self._writer is not None:
                self._writer.close()
            return None
        if kind == "measurement":
            return self._measurement(message)
        raise ExchangeError(f"message type is {kind!r}; expected reset, measurement or end")

    def _measurement(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if self._site is None or self._state is None or self._planning is None:
            raise ExchangeError("measurement before reset")
        before = self._state
        snapshot = replace(snapshot_of(message), storage_plan=self._planning.plan(before))
        self._state, record = step(self._site, before, snapshot)
        if self._writer is not None:
            self._writer.write(Cycle(before, snapshot, record))
        return {"setpoints": self._due(record, snapshot.now_s)}

    def _due(self, record: CycleRecord, now_s: float) -> dict[str, dict[str, float]]:
        """Set points that changed, and those that were last sent too long ago: nobody says whether one arrived."""
        out: dict[str, dict[str, float]] = {}
        for s in record.setpoints:
            p_w, q_var, at_s = self._sent.get(s.unit, NEVER)
            if (p_w, q_var) != (s.p_w, s.q_var) or not at_s <= now_s < at_s + REPEAT_S:
                out[s.unit] = {"p_w": 0.0 - s.p_w, "q_var": 0.0 - s.q_var}
                self._sent[s.unit] = s.p_w, s.q_var, now_s
        return out


def snapshot_of(message: Mapping[str, Any]) -> Snapshot:
    """The snapshot that a measurement message carries; null values are left out."""
    now_s, sample_s = _instant(message, "t_s"), _instant(message, "t_sample_s")
    values, stale = message.get("values"), message.get("stale_s") or {}
    if not isinstance(values, Mapping) or not isinstance(stale, Mapping):
        raise ExchangeError("values and stale_s: expected objects that name points")
    points: dict[str, Measurement] = {}
    for name, value in values.items():
        if value is None:
            continue
        read = _number(value, f"values.{name}", "a number or null")
        if not math.isfinite(read):
            continue
        point, house = _to_house(name, read)
        old = name in stale and stale[name] is not None
        at_s = now_s - _number(stale[name], f"stale_s.{name}", "an age, s") if old else sample_s
        points[point] = Measurement(house, Quality.GOOD, at_s, now_s)
    return Snapshot(now_s, points, float(message.get("utc_s", math.nan)))


def _instant(message: Mapping[str, Any], key: str) -> float:
    at_s = _number(message.get(key), key, "a time, s")
    if not math.isfinite(at_s):
        raise ExchangeError(f"{key} is {at_s}; expected a time, s")
    return at_s


def _number(value: object, name: str, expected: str) -> float:
    """As a float; one too large for it is infinite. Raises ExchangeError for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExchangeError(f"{name} is {value!r:.60}; expected {expected}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _to_house(name: str, value: float) -> tuple[str, float]:
    """Point name and value in load convention."""
    if not name.startswith("der."):
        return name, value
    _, rest = name.split(".", 1)
    unit, quantity = rest.rsplit(".", 1)
    if quantity == "soc":
        return f"unit.{unit}.soc_frac", value
    return f"unit.{unit}.{quantity}", (0.0 - value) if quantity in FLIPPED else value


def serve(source: IO[str], sink: IO[str], writer: Writer | None = None) -> None:
    """Answer line by line until ``end`` or the end of input. Raises ExchangeError with the line's number."""
    session = Session(writer)
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
            if isinstance(message, Mapping) and message.get("type") == "end":
                return
            answer = session.handle(message)
        except ExchangeError as error:
            raise ExchangeError(f"line {number}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PowerFlowError) as error:
            raise ExchangeError(f"line {number}: {type(error).__name__}: {error}") from error
        if answer is not None:
            sink.write(json.dumps(answer, allow_nan=False) + "\n")
            sink.flush()


@click.command()
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Record every cycle for `gridedge replay`: in this file if its name ends in .gz, else in this folder.",
)
def cosim(record: Path | None) -> None:
    """Drive the control core over JSON lines on stdin/stdout (mosaik, HELICS, pandapower or any judge)."""
    writer = None if record is None else Writer(record)
    try:
        if writer is not None:
            writer.prepare()
        serve(sys.stdin, sys.stdout, writer)
    except (ExchangeError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        if writer is not None:
            writer.close()
