"""Is a ``reset`` message one that a site can be made of? Every fault at once, with its place, value and expectation.

What nobody could simulate is refused before the first cycle, not found out in the middle of a course: a rating below
zero, an id used twice, a bus that hangs nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
Rule = tuple[str, Callable[[float], bool]]

ANY: Rule = ("a number", lambda _: True)
POSITIVE: Rule = ("a number above 0", lambda x: x > 0.0)
NOT_NEGATIVE: Rule = ("a number of at least 0", lambda x: x >= 0.0)
SHARE: Rule = ("a number from 0 to 1", lambda x: 0.0 <= x <= 1.0)
EFFICIENCY: Rule = ("a number above 0, at most 1", lambda x: 0.0 < x <= 1.0)
WHOLE: Rule = ("a whole number", lambda x: x == round(x))

SHOWN = 8  # faults told in one message
_COUNTS = ("u", "i", "pq", "der")


def _all(rule: Rule, *keys: str) -> dict[str, Rule]:
    return dict.fromkeys(keys, rule)


REQUIRED: Mapping[str, Mapping[str, Rule]] = {
    "source": _all(POSITIVE, "sk_va") | _all(NOT_NEGATIVE, "rx_ratio"),
    "buses": _all(POSITIVE, "u_rated_v", "v_max_pu") | _all(NOT_NEGATIVE, "v_min_pu"),
    "lines": _all(ANY, "r_ohm", "x_ohm") | _all(POSITIVE, "i_max_a"),
    "transformers": _all(POSITIVE, "sn_va", "u1_v", "u2_v", "uk_pu", "s_max_va")
    | _all(NOT_NEGATIVE, "pk_w", "i0_pu", "p0_w"),
    "loads": _all(ANY, "p_w", "q_var"),
    "ders": _all(NOT_NEGATIVE, "p_rated_w", "s_rated_va") | _all(ANY, "cost_eur_per_mwh"),
    "actuator": _all(NOT_NEGATIVE, "latency_s", "tau_p_s", "tau_q_s", "ramp_up_w_per_s", "ramp_down_w_per_s"),
    "battery": _all(POSITIVE, "e_rated_wh"),
    "scenario": _all(POSITIVE, "control_period_s"),
    "q_requests": _all(ANY, "t0_s", "t1_s", "q_var") | _all(NOT_NEGATIVE, "tolerance_var", "penalty_eur_per_mvarh"),
}
OPTIONAL: Mapping[str, Mapping[str, Rule]] = {
    "network": _all(POSITIVE, "f_hz"),
    "lines": _all(ANY, "b_s"),
    "transformers": _all(WHOLE, "tap_pos", "tap_min", "tap_max") | _all(NOT_NEGATIVE, "tap_size_pu"),
    "ders": _all(NOT_NEGATIVE, "q_max_var") | _all(WHOLE, "stack_position"),
    "battery": _all(SHARE, "soc_min", "soc_max", "soc_initial") | _all(EFFICIENCY, "eff_charge", "eff_discharge"),
    "scenario": _all(POSITIVE, "duration_s"),
    "measurement": _all(NOT_NEGATIVE, "latency_s", *(f"{k}_{x}_rel" for k in ("sigma", "bias") for x in _COUNTS)),
    "objective": _all(NOT_NEGATIVE, "soc_deficit_eur_per_mwh"),
}
REFERENCES: Mapping[str, tuple[str, ...]] = {
    "lines": ("from", "to"),
    "transformers": ("hv_bus", "lv_bus"),
    "loads": ("bus",),
    "ders": ("bus",),
}
LISTS = ("buses", "lines", "transformers", "loads", "ders")


def check_reset(network: object, scenario: object) -> None:
    """Raises ValueError that tells the first faults of both, if there are any."""
    found = [*_network(network), *_scenario(scenario)]
    if found:
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ValueError("; ".join(found[:SHOWN]) + more)


def _network(network: object) -> Iterator[str]:
    if not isinstance(network, Mapping):
        yield _fault("network", network, "an object")
        return
    parts = {name: network.get(name) for name in LISTS}
    shapeless = [_fault(f"network.{name}", part, "a list of objects") for name, part in parts.items() if _bad(part)]
    if not isinstance(network.get("source"), Mapping):
        shapeless.append(_fault("network.source", network.get("source"), "an object"))
    if shapeless:
        yield from shapeless
        return
    yield from _numbers("network", network, "network")
    found = [*_ids(network), *_parts(network)]
    yield from found or _islands(network)


def _bad(part: object) -> bool:
    return not isinstance(part, Sequence) or isinstance(part, str) or not all(isinstance(x, Mapping) for x in part)


def _ids(network: Json) -> Iterator[str]:
    """Each id a text, and once: branches share theirs, for their meters' names do."""
    for names in (("buses",), ("lines", "transformers"), ("loads",), ("ders",)):
        seen: set[str] = set()
        for name in names:
            for k, part in enumerate(network[name]):
                at, value = f"network.{name}[{k}].id", part.get("id")
                if not isinstance(value, str) or not value:
                    yield _fault(at, value, "a text that is not empty")
                elif value in seen:
                    yield _fault(at, value, "an id that is not used before")
                else:
                    seen.add(value)


def _parts(network: Json) -> Iterator[str]:
    known = [b.get("id") for b in network["buses"]]
    yield from _numbers("network.source", network["source"], "source")
    if network["source"].get("bus") not in known:
        yield _fault("network.source.bus", network["source"].get("bus"), "the id of a bus")
    for name in LISTS:
        for k, part in enumerate(network[name]):
            at = f"network.{name}[{k}]"
            yield from _numbers(at, part, name)
            wrong = (key for key in REFERENCES.get(name, ()) if part.get(key) not in known)
            yield from (_fault(f"{at}.{key}", part.get(key), "the id of a bus") for key in wrong)
            yield from OWN[name](at, part) if name in OWN else ()


def _bus(at: str, bus: Json) -> Iterator[str]:
    low, high = _number(bus.get("v_min_pu")), _number(bus.get("v_max_pu"))
    if low is not None and high is not None and low >= high:
        yield _fault(f"{at}.v_min_pu", low, f"less than v_max_pu ({high!r})")


def _line(at: str, line: Json) -> Iterator[str]:
    if _number(line.get("r_ohm")) == 0.0 and _number(line.get("x_ohm")) == 0.0:
        yield f"{at} has no impedance; expected r_ohm or x_ohm other than 0 (join its two buses instead)"


def _transformer(at: str, transformer: Json) -> Iterator[str]:
    uk_pu, pk_w, sn_va = (_number(transformer.get(key)) for key in ("uk_pu", "pk_w", "sn_va"))
    if uk_pu is not None and pk_w is not None and sn_va is not None and pk_w > uk_pu * sn_va > 0.0:
        yield _fault(f"{at}.pk_w", pk_w, f"at most uk_pu × sn_va ({uk_pu * sn_va:g} W)")


def _der(at: str, der: Json) -> Iterator[str]:
    if not isinstance(der.get("actuator"), Mapping):
        yield _fault(f"{at}.actuator", der.get("actuator"), "an object")
    else:
        yield from _numbers(f"{at}.actuator", der["actuator"], "actuator")
    if der.get("type") == "battery":
        yield from _numbers(at, der, "battery")


OWN: Mapping[str, Callable[[str, Json], Iterator[str]]] = {
    "buses": _bus,
    "lines": _line,
    "transformers": _transformer,
    "ders": _der,
}


def _islands(network: Json) -> Iterator[str]:
    """Buses that no branch leads to from the source."""
    ends = [(x["from"], x["to"]) for x in network["lines"]] + [
        (x["hv_bus"], x["lv_bus"]) for x in network["transformers"]
    ]
    reached, frontier = set[str](), {network["source"]["bus"]}
    while frontier:
        reached |= frontier
        frontier = {b for pair in ends for a, b in (pair, pair[::-1]) if a in frontier} - reached
    for k, bus in enumerate(network["buses"]):
        if bus["id"] not in reached:
            yield _fault(f"network.buses[{k}].id", bus["id"], "a bus that branches connect to the source")


def _scenario(scenario: object) -> Iterator[str]:
    if not isinstance(scenario, Mapping):
        yield _fault("scenario", scenario, "an object")
        return
    yield from _numbers("scenario", scenario, "scenario")
    for name in ("measurement", "objective"):
        part = scenario.get(name, {})
        if isinstance(part, Mapping):
            yield from _numbers(f"scenario.{name}", part, name)
        else:
            yield _fault(f"scenario.{name}", part, "an object")
    requests = scenario.get("q_requests", ())
    if _bad(requests):
        yield _fault("scenario.q_requests", requests, "a list of objects")
        return
    for k, request in enumerate(requests):
        yield from _numbers(f"scenario.q_requests[{k}]", request, "q_requests")


def _numbers(at: str, part: Json, name: str) -> Iterator[str]:
    """Faults of the part's numbers; those that it need not have are only looked at where they are."""
    wanted = [(key, rule) for key, rule in REQUIRED.get(name, {}).items()]
    wanted += [(key, rule) for key, rule in OPTIONAL.get(name, {}).items() if key in part]
    for key, (expected, holds) in wanted:
        value = _number(part.get(key))
        if value is None or not holds(value):
            yield _fault(f"{at}.{key}", part.get(key), expected)


def _number(value: object) -> float | None:
    """A finite number, else None; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _fault(at: str, value: object, expected: str) -> str:
    said = "missing" if value is None else repr(value)
    return f"{at} is {said if len(said) <= 60 else said[:57] + '...'}; expected {expected}"
