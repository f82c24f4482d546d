"""Where the instruments of each device are connected: from a profile's points to the true signals.

A point goes where the site file feeds it (a ``-`` there means that the device counts the other way round, so the
simulated one does). Other points of the profile measure at the same place: a meter's at its branch or bus, a unit's
at its terminals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.domain.site import Device, MeasurementChain, Site
from controller.domain.topology import SQRT3, Transformer
from controller.domain.unit import Unit
from drivers.profile import PointSpec, Profile
from simulators.seeds import stream
from simulators.signals import AMBIENT, ONE, Signals
from simulators.units.meter import Channel

_ALIASES = {
    **dict.fromkeys(("i_1_a", "i_2_a", "i_3_a"), ("i_a", 1.0)),
    **dict.fromkeys(("u_12_v", "u_23_v", "u_31_v"), ("u_v", 1.0)),
    **dict.fromkeys(("u_1_v_ln", "u_2_v_ln", "u_3_v_ln"), ("u_v", 1.0 / SQRT3)),
}
_INTEGER_MAX = {f"{sign}int{bits}": 2.0 ** (bits - (not sign)) - 1.0 for sign in ("", "u") for bits in (16, 32, 64)}
_OPC_UA_INTEGERS = {"Byte": 255.0, **{name.title().replace("Ui", "UI"): top for name, top in _INTEGER_MAX.items()}}
INTEGER_MAX = {**_INTEGER_MAX, **_OPC_UA_INTEGERS}
_POWERS = ("p_w", "q_var", "s_va", "p_avail_w")
_SINGLE = ("float32", "Float")
_RUNNING = {"sunspec": 3.0, "ev_hub": 4.0}  # SunSpec 701 InvSt RUNNING; charging on the EV hub's map
_HEADROOM = 1.3
F_HZ = 50.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device measures: names of the signals of its quantities, and the sign it counts with."""

    signals: Mapping[str, str]
    sign: float = 1.0


def place_of(device: Device, site: Site) -> Place:
    """The place that a device's feeds (or its unit) speak of."""
    if device.unit is not None:
        unit = next(unit for unit in site.units if unit.id == device.unit)
        own = {name: f"unit.{unit.id}.{name}" for name in ("p_w", "q_var", "s_va", "i_a", "p_avail_w", "soc_frac")}
        return Place({**own, "u_v": f"bus.{unit.bus}.u_v"})
    targets = [target.removeprefix("-").split(".") for target in device.feeds.values()]
    flipped = any(target.startswith("-") for target in device.feeds.values())
    branches = [parts[1] for parts in targets if parts[0] == "branch"]
    if branches:
        return Place(_branch_signals(branches[0], site), -1.0 if flipped else 1.0)
    if any(parts[0] == "interface" for parts in targets):
        bus = site.topology.source.bus
        own = {name: f"interface.{name}" for name in ("p_w", "q_var", "s_va")}
        return Place({**own, "u_v": f"bus.{bus}.u_v"}, -1.0 if flipped else 1.0)
    buses = [parts[1] for parts in targets if parts[0] == "bus"]
    return Place({"u_v": f"bus.{buses[0]}.u_v"} if buses else {})


def _branch_signals(branch_id: str, site: Site) -> dict[str, str]:
    branch = next(branch for branch in site.topology.branches if branch.id == branch_id)
    names = {name: f"branch.{branch_id}.{name}" for name in ("p_w", "q_var", "s_va", "i_a")}
    if not isinstance(branch, Transformer):
        return {**names, "u_v": f"bus.{branch.from_bus}.u_v"}
    extra = {name: f"branch.{branch_id}.{name}" for name in ("top_oil_c", "hot_spot_c", "tap_pos")}
    return {**names, **extra, "u_v": f"bus.{branch.lv_bus}.u_v"}


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is wrong with one device's measuring: delay, and ratio errors of its voltage and current transformers."""

    latency_s: float
    u_error_rel: float
    i_error_rel: float

    def gain(self, quantity: str) -> float:
        """What a quantity reads over what it is; power carries the errors of both transformers."""
        errors = {"u_v": (1.0, 0.0), "i_a": (0.0, 1.0)}
        u, i = (1.0, 1.0) if quantity in _POWERS else errors.get(quantity, (0.0, 0.0))
        return 1.0 + u * self.u_error_rel + i * self.i_error_rel


def draw_instrument(device_id: str, chain: MeasurementChain, seed: int) -> Instrument:
    """The true instrument of a device, inside what the site file promises of it; its delay is ×0.7…1.6."""

    def draw(name: str, low: float, high: float) -> float:
        return float(stream(seed, f"{name}.{device_id}").uniform(low, high))

    return Instrument(
        latency_s=chain.latency_s * draw("latency", 0.7, 1.6),
        u_error_rel=chain.bias_u_rel * draw("ratio_u", -1.0, 1.0),
        i_error_rel=chain.bias_i_rel * draw("ratio_i", -1.0, 1.0),
    )


class DeviceWiring:
    """Channels, fixed values and scale factors of one device."""

    def __init__(self, device: Device, profile: Profile, site: Site, signals: Signals, instrument: Instrument) -> None:
        self._device = device
        self._profile = profile
        self._chain = site.chain
        self._signals = signals
        self._instrument = instrument
        self._place = place_of(device, site)
        self._unit = next((unit for unit in site.units if unit.id == device.unit), None)
        self.nameplate = _nameplate(self._unit)
        found = {spec.name: self._source(spec.name) for spec in profile.points if "w" not in spec.access}
        self._sources = {name: source for name, source in found.items() if source is not None}
        self.exponents = _exponents(profile, self._span)
        self.channels = tuple(self._channel(profile.point(name)) for name in self._sources)
        self.fixed = self._fixed()

    def _source(self, name: str) -> tuple[str, float] | None:
        """(signal, factor) behind a point; None for what is not measured."""
        quantity, factor = _ALIASES.get(name, (name, 1.0))
        target = self._device.feeds.get(quantity, "")
        if target.removeprefix("-") in self._signals.index:
            return target.removeprefix("-"), -factor if target.startswith("-") else factor
        if quantity == "f_hz":
            return ONE, F_HZ
        if quantity == "ambient_c":
            return AMBIENT, 1.0
        if quantity not in self._place.signals:
            return None
        return self._place.signals[quantity], factor * (self._place.sign if quantity in ("p_w", "q_var") else 1.0)

    def _span(self, name: str) -> float:
        """Greatest magnitude that the point has to show, SI."""
        if name in self._sources:
            signal, factor = self._sources[name]
            return abs(factor) * float(self._signals.full_scale[self._signals.index[signal]]) * _HEADROOM
        if name in self.nameplate:
            return self.nameplate[name]
        return _setting_span(self._profile, name, self._unit)

    def _channel(self, spec: PointSpec) -> Channel:
        signal, factor = self._sources[spec.name]
        place = self._signals.index[signal]
        quantity = _ALIASES.get(spec.name, (spec.name, 1.0))[0]
        exponent = self.exponents.get(spec.sf, 0) if spec.sf is not None else 0
        integer = spec.type in INTEGER_MAX
        return Channel(
            name=f"{self._device.id}.{spec.name}",
            signal=place,
            factor=factor * self._instrument.gain(quantity),
            full_scale=abs(factor) * float(self._signals.full_scale[place]),
            sigma_rel=_sigma_rel(quantity, signal, self._chain),
            latency_s=self._instrument.latency_s,
            quantum=abs(spec.scale) * 10.0**exponent if integer else 0.0,
            offset=spec.offset,
            single=spec.type in _SINGLE,
            raw_max=INTEGER_MAX.get(spec.type, math.inf),
            unsigned=integer and spec.type.startswith("u") and spec.scale > 0.0,
        )

    def _fixed(self) -> dict[str, float]:
        out = {name: float(exponent) for name, exponent in self.exponents.items()}
        names = {spec.name for spec in self._profile.points}
        out.update({name: value for name, value in self.nameplate.items() if name in names})
        if "state" in names:
            keys = [value for key, value in _RUNNING.items() if self._profile.id.startswith(key)]
            out["state"] = keys[0] if keys else 1.0
        out.update(self._profile.identity)
        return out


def _sigma_rel(quantity: str, signal: str, chain: MeasurementChain) -> float:
    """One sigma of the noise, relative to full scale."""
    if quantity in _POWERS:
        return chain.sigma_unit_rel if signal.startswith("unit.") else chain.sigma_pq_rel
    return {"u_v": chain.sigma_u_rel, "i_a": chain.sigma_i_rel, "f_hz": 0.0002}.get(quantity, 0.0)


def _nameplate(unit: Unit | None) -> dict[str, float]:
    """Ratings that a device states about its unit, under every name that a profile may use."""
    if unit is None:
        return {}
    plate = {"w_max_w": unit.p_rated_w, "p_rated_w": unit.p_rated_w, "va_max_va": unit.s_rated_va}
    plate |= {"s_rated_va": unit.s_rated_va, "var_max_var": unit.q_max_var, "q_max_var": unit.q_max_var}
    if unit.storage is not None:
        plate["e_rated_wh"] = unit.storage.e_rated_wh
    return plate


def _setting_span(profile: Profile, name: str, unit: Unit | None) -> float:
    """Greatest magnitude of a set point or reversion register; 0 when it is not one."""
    for spec in profile.commands:
        if unit is not None and name in (spec.point, spec.revert_point):
            return 1.0 if spec.of is not None else unit.s_rated_va
    return 0.0


def _exponents(profile: Profile, span: Callable[[str], float]) -> dict[str, int]:
    """The finest scale factor at which every point that uses it can show its span."""
    out: dict[str, int] = {}
    for spec in profile.points:
        if spec.sf is None:
            continue
        out[spec.sf] = max(out.get(spec.sf, -10), _exponent(spec, span(spec.name)))
    return out


def _exponent(spec: PointSpec, span: float) -> int:
    top = INTEGER_MAX.get(spec.type)
    if top is None or span <= 0.0:
        return -10 if top is not None else 0
    return max(math.ceil(math.log10(span / abs(spec.scale) / (top - 1.0))), -4)
