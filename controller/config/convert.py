"""From field units to SI and from words to the house's sign. Nothing is checked here; that happened before.

Load convention: what a unit generates becomes negative, what it consumes positive.
"""

from __future__ import annotations

import math

from controller.config.convert_connection import to_connection
from controller.config.convert_escalation import to_rungs
from controller.config.convert_market import to_market
from controller.config.convert_national import to_tender
from controller.config.convert_planning import to_planning
from controller.config.convert_platform import to_platform
from controller.config.convert_telemetry import to_sparkplug
from controller.config.convert_thermal import to_cable, to_overhead, to_season, to_thermal, to_weather
from controller.config.convert_weather import to_weather_service
from controller.config.schema import ControlModel, LimitsModel, MeasurementModel, SiteFile, ThermalLimitModel
from controller.config.schema_network import LineModel, LoadModel, NetworkModel, SourceModel, TransformerModel
from controller.config.schema_units import ActuatorModel, DeviceModel, FailSafeModel, StorageModel, UnitModel
from controller.domain import points
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import CycleSettings, Device, MeasurementChain, Site
from controller.domain.thermal import Season
from controller.domain.topology import Branch, Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind

TYPE_R_OHM_A = 100.0  # per km and ampere of rating: aluminium cable and thin overhead line, warm
TYPE_X_OHM_LV, TYPE_X_OHM_MV = 0.15, 0.35  # per km: bundled conductors below 1 kV, overhead line above

UNIT_FEEDS = (*points.UNIT_QUANTITIES, "p_set_w", "q_set_var")
"""Points that a device which commands a unit feeds by itself, as far as its profile has them."""

_SECONDS_TO_RATED = 10.0
_MODBUS_ADDRESS = 1


def to_site(file: SiteFile, feeds: dict[str, dict[str, str]]) -> Site:
    """The site in SI; ``feeds`` holds, for each device id, the complete map from profile point to controller point."""
    topology = to_topology(file.network)
    return Site(
        name=file.site.id,
        topology=topology,
        units=tuple(to_unit(unit) for unit in file.units),
        limits=to_limits(file.limits, topology),
        devices=tuple(to_device(device, feeds[device.id]) for device in file.devices),
        cycle=to_cycle(file.control),
        chain=to_chain(file.measurement),
        principle=file.control.principle_of_access,
        timezone=file.site.timezone,
        weather=to_weather(file.weather),
        weather_service=to_weather_service(file),
        connection=to_connection(file, topology),
        escalation=to_rungs(file.control.escalation),
        platform=to_platform(file),
        sparkplug=to_sparkplug(file),
        market=to_market(file),
        planning=to_planning(file),
        tender=to_tender(file),
    )


def to_topology(network: NetworkModel) -> Topology:
    """The network in ohm, siemens, VA and volts."""
    return Topology(
        f_hz=network.f_hz,
        source=_source(network.source),
        buses=tuple(Bus(bus.id, bus.u_nominal_kv * 1e3) for bus in network.buses),
        lines=tuple(to_line(line, network.f_hz, _nominal_kv(network, line.from_bus)) for line in network.lines),
        transformers=tuple(to_transformer(item) for item in network.transformers),
        loads=tuple(to_load(load) for load in network.loads),
    )


def _source(source: SourceModel) -> Source:
    return Source(source.bus, source.s_sc_mva * 1e6, source.rx_ratio, source.u_percent / 100.0)


def _nominal_kv(network: NetworkModel, bus: str) -> float:
    return next(item.u_nominal_kv for item in network.buses if item.id == bus)


def type_impedance(i_rated_a: float, nominal_kv: float) -> tuple[float, float]:
    """Resistance and reactance of a line that nobody has data of, ohm/km: rather too large than too small.

    A 150 mm² aluminium cable (275 A) has 0.206 + j0.08, a 70 mm² ACSR line (290 A) 0.43 + j0.36 (IEC 60228, at 20 °C).
    """
    return TYPE_R_OHM_A / i_rated_a, TYPE_X_OHM_LV if nominal_kv <= 1.0 else TYPE_X_OHM_MV


def to_line(line: LineModel, f_hz: float, nominal_kv: float = 1.0) -> Line:
    """Equal circuits in parallel become one: impedance divided, susceptance and rating multiplied by their number.

    ``nominal_kv`` tells the kind of line where nobody knows its impedance.
    """
    n = line.parallel
    r_ohm_per_km, x_ohm_per_km = line.r_ohm_per_km, line.x_ohm_per_km
    known = r_ohm_per_km is not None and x_ohm_per_km is not None
    if r_ohm_per_km is None or x_ohm_per_km is None:
        r_ohm_per_km, x_ohm_per_km = type_impedance(line.i_rated_a, nominal_kv)
    return Line(
        id=line.id,
        from_bus=line.from_bus,
        to_bus=line.to_bus,
        r_ohm=r_ohm_per_km * line.length_km / n,
        x_ohm=x_ohm_per_km * line.length_km / n,
        b_s=2.0 * math.pi * f_hz * line.c_uf_per_km * 1e-6 * line.length_km * n,
        i_max_a=line.i_rated_a * n,
        overhead=to_overhead(line),
        cable=to_cable(line),
        impedance_known=known,
    )


def to_transformer(item: TransformerModel) -> Transformer:
    """Nameplate values in VA, W and per unit; without ``s_max_mva`` the nameplate is the limit."""
    s_max_mva = item.s_rated_mva if item.s_max_mva is None else item.s_max_mva
    tap = item.tap
    return Transformer(
        id=item.id,
        hv_bus=item.hv_bus,
        lv_bus=item.lv_bus,
        sn_va=item.s_rated_mva * 1e6,
        u1_v=item.u_hv_kv * 1e3,
        u2_v=item.u_lv_kv * 1e3,
        uk_pu=item.uk_percent / 100.0,
        pk_w=item.load_loss_kw * 1e3,
        i0_pu=item.no_load_current_percent / 100.0,
        p0_w=item.no_load_loss_kw * 1e3,
        s_max_va=s_max_mva * 1e6,
        tap_pos=tap.position if tap else 0,
        tap_min=tap.lowest if tap else 0,
        tap_max=tap.highest if tap else 0,
        tap_size_pu=tap.step_percent / 100.0 if tap else 0.0,
        cooling=item.cooling,
        thermal=to_thermal(item),
    )


def to_load(load: LoadModel) -> Load:
    """Consumption minus generation; the least credible demand is the least consumption with the most generation."""
    take, give = load.consumption_kw, load.generation_kw
    expected_take_w = take.expected * 1e3 if take else 0.0
    tan_phi = math.tan(math.acos(load.power_factor))
    return Load(
        id=load.id,
        bus=load.bus,
        p_w=expected_take_w - (give.expected * 1e3 if give else 0.0),
        q_var=expected_take_w * tan_phi,
        p_min_w=(take.min * 1e3 if take else 0.0) - (give.max * 1e3 if give else 0.0),
        p_max_w=(take.max * 1e3 if take else 0.0) - (give.min * 1e3 if give else 0.0),
    )


def to_unit(unit: UnitModel) -> Unit:
    """Magnitudes by direction become a signed range."""
    kind = UnitKind(unit.kind)
    generation_kw = unit.generation_max_kw if unit.generation_max_kw is not None else unit.p_rated_kw
    consumption_kw = unit.consumption_max_kw if unit.consumption_max_kw is not None else unit.p_rated_kw
    return Unit(
        id=unit.id,
        bus=unit.bus,
        kind=kind,
        p_rated_w=unit.p_rated_kw * 1e3,
        s_rated_va=(unit.s_rated_kva if unit.s_rated_kva is not None else unit.p_rated_kw) * 1e3,
        q_max_var=unit.q_max_kvar * 1e3,
        p_min_w=unit.consumption_min_kw * 1e3 if kind.consumes else 0.0 - generation_kw * 1e3,
        p_max_w=0.0 - unit.generation_min_kw * 1e3 if kind.generates else consumption_kw * 1e3,
        price_eur_per_mwh=unit.price_eur_per_mwh,
        stack_position=unit.stack_position,
        group=unit.group,
        reports_available=unit.reports_available,
        actuator=_actuator(unit.actuator, unit.p_rated_kw * 1e3),
        fail_safe=_fail_safe(unit.fail_safe),
        storage=None if unit.storage is None else _storage(unit.storage),
        connected_on=unit.connected_on,
    )


def _actuator(actuator: ActuatorModel, p_rated_w: float) -> Actuator:
    up, down = actuator.ramp_up_kw_per_s, actuator.ramp_down_kw_per_s
    return Actuator(
        latency_s=actuator.latency_s,
        tau_p_s=actuator.tau_p_s,
        tau_q_s=actuator.tau_q_s,
        ramp_up_w_per_s=p_rated_w / _SECONDS_TO_RATED if up is None else up * 1e3,
        ramp_down_w_per_s=p_rated_w / _SECONDS_TO_RATED if down is None else down * 1e3,
    )


def _fail_safe(safe: FailSafeModel) -> FailSafe:
    generation_kw, consumption_kw = safe.generation_kw or 0.0, safe.consumption_kw or 0.0
    return FailSafe(p_w=(consumption_kw - generation_kw) * 1e3, q_var=safe.q_kvar * 1e3, lease_s=safe.lease_s)


def _storage(storage: StorageModel) -> Storage:
    return Storage(
        e_rated_wh=storage.e_rated_kwh * 1e3,
        soc_min_frac=storage.soc_min_percent / 100.0,
        soc_max_frac=storage.soc_max_percent / 100.0,
        eff_charge_frac=storage.efficiency_charge_percent / 100.0,
        eff_discharge_frac=storage.efficiency_discharge_percent / 100.0,
        soc_initial_frac=storage.soc_initial_percent / 100.0,
    )


def to_device(device: DeviceModel, feeds: dict[str, str]) -> Device:
    """A device with all its feeds, those of its unit included."""
    address = device.unit_address if device.unit_address is not None else _MODBUS_ADDRESS
    return Device(
        id=device.id,
        protocol=device.protocol,
        endpoint=device.endpoint,
        unit_address=address if device.protocol == "modbus" else 0,
        profile=device.profile,
        feeds=feeds,
        unit=device.unit,
        poll_s=device.poll_s,
        stale_s=device.stale_s,
        timeout_s=device.timeout_s,
        options=device.options.model_dump(exclude_none=True),
        delivery=device.delivery or "auto",
        serial_number=device.serial_number or "",
    )


def all_feeds(device: DeviceModel, profile_points: set[str] | None) -> dict[str, str]:
    """What the device feeds: its stated feeds, and its unit's points that the profile has (all when it is unknown)."""
    feeds = dict(device.feeds)
    if device.unit is not None:
        known = [name for name in UNIT_FEEDS if profile_points is None or name in profile_points]
        feeds.update({name: points.unit(device.unit, name) for name in known if name not in feeds})
    return feeds


def to_limits(limits: LimitsModel, topology: Topology) -> tuple[Limit, ...]:
    """In A, V line-to-line and W; ids ``T1.thermal``, ``BB.voltage``, ``export``."""
    branches = {branch.id: branch for branch in topology.branches}
    nominal_v = {bus.id: bus.u_rated_v for bus in topology.buses}
    found = [to_thermal_limit(item, branches[item.branch]) for item in limits.thermal]
    for band in limits.voltage:
        low_pu, high_pu = 1.0 - (band.below_percent or 0.0) / 100.0, 1.0 + (band.above_percent or 0.0) / 100.0
        for bus in band.buses:
            low_v = nominal_v[bus] * low_pu if band.low_kv is None else band.low_kv * 1e3
            high_v = nominal_v[bus] * high_pu if band.high_kv is None else band.high_kv * 1e3
            found.append(Limit(f"{bus}.voltage", LimitKind.VOLTAGE, bus, high_v, low_v))
    if limits.export_kw is not None:
        found.append(Limit("export", LimitKind.EXPORT, "interface", limits.export_kw * 1e3))
    if limits.import_kw is not None:
        found.append(Limit("import", LimitKind.IMPORT, "interface", limits.import_kw * 1e3))
    return tuple(found)


def to_thermal_limit(item: ThermalLimitModel, branch: Branch) -> Limit:
    """A static limit; or, with seasons or a thermal model, the highest that any of them may come to and the lowest.

    A stated ``i_max_a`` is never exceeded by a thermal model: something else than heat of the element stands behind it.
    """
    static_a = item.i_max_a or branch.i_max_a
    seasons = tuple(to_season(season) for season in item.seasons)
    if seasons:
        seasons = (*seasons, Season(item.branch, (), static_a))
    short_time_a = static_a if item.i_max_a is not None else max(static_a, _short_time_a(branch))
    highest_a = max([short_time_a, *(x.rated_a for x in seasons)])
    rated_a = min([static_a, *(x.rated_a for x in seasons)])
    rated = rated_a if rated_a < highest_a else None
    return Limit(f"{item.branch}.thermal", LimitKind.THERMAL, item.branch, highest_a, rated=rated, seasons=seasons)


def _short_time_a(branch: Branch) -> float:
    """What the thermal model of a branch may allow at most; 0 without one."""
    if isinstance(branch, Transformer):
        return 0.0 if branch.thermal is None else branch.thermal.load_pu_max * branch.i_rated_a
    models = (branch.overhead, branch.cable)
    return max((x.load_pu_max * branch.i_max_a for x in models if x is not None), default=0.0)


def to_cycle(control: ControlModel) -> CycleSettings:
    """Times of the fast loop."""
    return CycleSettings(
        cycle_s=control.cycle_s,
        fail_safe_s=control.fail_safe_s,
        recovery_hold_s=control.recovery_hold_s,
        recovery_reads=control.recovery_reads,
        unit_recovery_hold_s=control.unit_recovery_hold_s,
    )


def to_chain(chain: MeasurementModel) -> MeasurementChain:
    """Percent become fractions."""
    return MeasurementChain(
        latency_s=chain.latency_s,
        sigma_u_rel=chain.sigma_voltage_percent / 100.0,
        sigma_i_rel=chain.sigma_current_percent / 100.0,
        sigma_pq_rel=chain.sigma_power_percent / 100.0,
        sigma_unit_rel=chain.sigma_unit_percent / 100.0,
        bias_u_rel=chain.bias_voltage_percent / 100.0,
        bias_i_rel=chain.bias_current_percent / 100.0,
    )
