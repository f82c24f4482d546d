"""What the market activates of a bid, as its words are read and judged. Pure.

An activation is one whole: a direction and a power for some settlement periods of the bid's window. What is asked of it
here is what only the bid can answer; counter, expiry and authority are judged by the desk like any command's
(:mod:`controller.balancing.admission`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from controller.balancing.openadr.strict_json import Malformed

UP, DOWN = "up", "down"
PERIOD_S = 900.0
"""Settlement periods begin and end at multiples of it (Regulation (EU) 2017/2195, Art. 53)."""
PERIODS_MAX = 192
LISTED_MAX = 64
COUNTER_MAX = 1 << 53
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_KEYS = {"id", "counter", "issued_utc_s", "expires_utc_s", "direction", "periods"}
_PERIOD_KEYS = {"from_utc_s", "until_utc_s", "w"}


@dataclass(frozen=True, slots=True)
class Period:
    """``change_w`` between two instants (UTC seconds since 1970), load convention: up is negative."""

    from_utc_s: float
    until_utc_s: float
    change_w: float


@dataclass(frozen=True, slots=True)
class Activation:
    """As it was said; whoever hears it after ``expires_utc_s`` leaves it alone."""

    id: str
    counter: int
    issued_utc_s: float
    expires_utc_s: float
    periods: tuple[Period, ...]

    @property
    def begins_utc_s(self) -> float:
        """Start of the first period."""
        return self.periods[0].from_utc_s

    @property
    def ends_utc_s(self) -> float:
        """End of the last one."""
        return self.periods[-1].until_utc_s


@dataclass(frozen=True, slots=True)
class Sold:
    """A bid as it was said: its window (UTC seconds since 1970), its volumes (magnitudes, W), price and units."""

    id: str
    from_utc_s: float
    until_utc_s: float
    up_w: float
    down_w: float
    price_eur_per_mwh: float
    units: tuple[str, ...]


def read_sold(document: str) -> Sold:
    """The bid as it was said. Raises ValueError or KeyError for what this station never wrote."""
    bid = json.loads(document)
    return Sold(
        id=str(bid["id"]),
        from_utc_s=float(bid["from_utc_s"]),
        until_utc_s=float(bid["until_utc_s"]),
        up_w=float(bid["up_w"]),
        down_w=float(bid["down_w"]),
        price_eur_per_mwh=float(bid["price_eur_per_mwh"]),
        units=tuple(str(unit) for unit in bid["units"]),
    )


def read_list(document: Any, bid_id: str) -> list[Mapping[str, Any]]:
    """The entries of ``{"id", "activations"}`` about this bid. Raises Malformed for a list that is none, whole."""
    if not isinstance(document, dict) or document.get("id") != bid_id:
        raise Malformed(f"the list of activations is not about {bid_id}; expected id and activations")
    found = document.get("activations")
    if not isinstance(found, list) or len(found) > LISTED_MAX or not all(isinstance(one, dict) for one in found):
        raise Malformed(f"activations of {bid_id} are no list of at most {LISTED_MAX} objects")
    return found


def named(entry: Mapping[str, Any]) -> str:
    """Its id where it has one that can be answered; empty otherwise."""
    name = entry.get("id")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def read_activation(entry: Mapping[str, Any]) -> Activation:
    """One of them. Raises Malformed with the key, the value and what was expected."""
    if set(entry) != _KEYS:
        raise Malformed(f"keys {sorted(entry)}; expected {sorted(_KEYS)}")
    if not named(entry):
        raise Malformed(f"id is {str(entry['id'])[:40]!r}; expected 1…64 letters, digits, dots, colons or dashes")
    counter, direction, periods = entry["counter"], entry["direction"], entry["periods"]
    if isinstance(counter, bool) or not isinstance(counter, int) or not 0 <= counter < COUNTER_MAX:
        raise Malformed(f"counter is {str(counter)[:40]}; expected a whole number from 0")
    if direction not in (UP, DOWN):
        raise Malformed(f"direction is {str(direction)[:40]!r}; expected {UP} or {DOWN}")
    if not isinstance(periods, list) or not 0 < len(periods) <= PERIODS_MAX:
        raise Malformed(f"periods are no list of 1…{PERIODS_MAX} objects")
    sign = -1.0 if direction == UP else 1.0
    read = tuple(_period(period, sign) for period in periods)
    return Activation(entry["id"], counter, _number(entry, "issued_utc_s"), _number(entry, "expires_utc_s"), read)


def refusal(asked: Activation, sold: Sold, now_utc_s: float) -> str:
    """Why the bid does not cover it; empty when it does."""
    if not now_utc_s < asked.expires_utc_s:
        return f"expired: it had to be taken {now_utc_s - asked.expires_utc_s:.0f} s ago"
    if not now_utc_s < asked.begins_utc_s + PERIOD_S:
        return f"stale: its first period is over since {now_utc_s - asked.begins_utc_s - PERIOD_S:.0f} s"
    if any(one.until_utc_s > other.from_utc_s for one, other in pairwise(asked.periods)):
        return "contradictory: its periods overlap or are not in order"
    if asked.begins_utc_s < sold.from_utc_s or asked.ends_utc_s > sold.until_utc_s:
        return f"out of range: beyond the window of the bid, {sold.from_utc_s:.0f} to {sold.until_utc_s:.0f}"
    most_w = sold.up_w if asked.periods[0].change_w < 0.0 else sold.down_w
    worst_w = max(abs(period.change_w) for period in asked.periods)
    return "" if worst_w <= most_w else f"out of range: {worst_w:.0f} W; the bid is of {most_w:.0f} W"


def _period(entry: Any, sign: float) -> Period:
    if not isinstance(entry, dict) or set(entry) != _PERIOD_KEYS:
        raise Malformed(f"a period is {str(entry)[:80]}; expected {sorted(_PERIOD_KEYS)}")
    from_s, until_s, w = (_number(entry, key) for key in ("from_utc_s", "until_utc_s", "w"))
    if not until_s > from_s or from_s % PERIOD_S or until_s % PERIOD_S:
        raise Malformed(f"a period from {from_s:.0f} to {until_s:.0f}; expected whole settlement periods of 900 s")
    if not w > 0.0:
        raise Malformed(f"w is {w:g}; expected a power above 0")
    return Period(from_s, until_s, sign * w)


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Malformed(f"{key} is {str(value)[:40]}; expected a finite number")
    return float(value)
