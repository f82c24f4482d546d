"""A small site that is right, to be made wrong in one place."""

from __future__ import annotations

from typing import ClassVar

SMALL = """\
site: {id: small, timezone: Europe/London}
network:
  source: {bus: HV, s_sc_mva: 200, rx_ratio: 0.2}
  buses:
    - {id: HV, u_nominal_kv: 33}
    - {id: LV, u_nominal_kv: 11}
    - {id: END, u_nominal_kv: 11}
  transformers:
    - id: T1
      hv_bus: HV
      lv_bus: LV
      s_rated_mva: 5
      u_hv_kv: 33
      u_lv_kv: 11
      uk_percent: 8
      load_loss_kw: 30
      no_load_loss_kw: 5
      tap: {position: 1, lowest: -4, highest: 4, step_percent: 1.25}
  lines:
    - id: L1
      from_bus: LV
      to_bus: END
      length_km: 2
      r_ohm_per_km: 0.2
      x_ohm_per_km: 0.1
      i_rated_a: 300
  loads:
    - {id: D1, bus: LV, consumption_kw: {min: 100, expected: 500, max: 1000}, power_factor: 0.95}
units:
  - id: PV1
    kind: pv
    bus: END
    p_rated_kw: 4000
    s_rated_kva: 4400
    q_max_kvar: 1000
    fail_safe: {generation_kw: 1000, lease_s: 10}
  - id: BAT
    kind: battery
    bus: END
    p_rated_kw: 1000
    storage: {e_rated_kwh: 2000, soc_min_percent: 10, soc_max_percent: 90}
    fail_safe: {generation_kw: 0}
  - id: EV
    kind: ev_hub
    bus: END
    p_rated_kw: 500
    fail_safe: {consumption_kw: 100}
devices:
  - id: MT
    protocol: modbus
    endpoint: 10.0.0.1:502
    profile: meter
    feeds: {p_w: branch.T1.p_w, q_var: branch.T1.q_var, i_a: branch.T1.i_a, u_v: bus.LV.u_v}
  - id: ML
    protocol: modbus
    endpoint: 10.0.0.2:502
    unit_address: 7
    profile: meter
    feeds: {p_w: -branch.L1.p_w, q_var: -branch.L1.q_var, i_a: branch.L1.i_a}
  - {id: DPV, protocol: modbus, endpoint: "10.0.0.3:502", profile: inverter, unit: PV1}
  - {id: DBAT, protocol: modbus, endpoint: "10.0.0.4:502", profile: store, unit: BAT}
  - {id: DEV, protocol: opcua, endpoint: "opc.tcp://10.0.0.5:4840", profile: hub, unit: EV}
limits:
  thermal:
    - branch: T1
    - {branch: L1, i_max_a: 250}
  voltage:
    - {buses: [LV, END], below_percent: 6, above_percent: 6}
  export_kw: 3000
control: {cycle_s: 1, fail_safe_s: 5}
"""


class FakeCatalogue:
    """Profiles that the small site names."""

    _points: ClassVar[dict[str, set[str]]] = {
        "meter": {"p_w", "q_var", "i_a", "u_v", "f_hz"},
        "inverter": {"p_w", "q_var", "u_v", "p_set_w", "q_set_var"},
        "store": {"p_w", "soc_frac", "p_set_w"},
        "hub": {"p_w", "state", "p_set_w"},
        "open_inverter": {"p_w", "q_var", "u_v", "p_set_w", "q_set_var"},
    }
    _commands: ClassVar[dict[str, set[str]]] = {
        "meter": set(),
        "inverter": {"generation_w_max", "q_var"},
        "store": {"p_w"},
        "hub": {"consumption_w_max"},
        "open_inverter": {"generation_w_max", "q_var"},
    }

    def points(self, profile_id: str) -> set[str] | None:
        return self._points.get(profile_id)

    def commands(self, profile_id: str) -> set[str] | None:
        return self._commands.get(profile_id)

    def fails(self, profile_id: str) -> str | None:
        return {"open_inverter": "fails_open"}.get(profile_id, "reverts_to_value")

    def tells_serial(self, profile_id: str) -> bool | None:
        return profile_id == "inverter" if profile_id in self._points else None

    def protocol(self, profile_id: str) -> str | None:
        return {"hub": "opcua"}.get(profile_id, "modbus") if profile_id in self._points else None


def changed(old: str, new: str, source: str = SMALL) -> str:
    """The small site with one place replaced; the place must be there exactly once."""
    assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
    return source.replace(old, new)
