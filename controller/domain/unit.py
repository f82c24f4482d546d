"""Units that can be controlled: what they are, what they cost, how they move and what they do when we go silent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class UnitKind(Enum):
    """What a set point means depends on the kind.

    ``pv``, ``wind``, ``generator``: the set point is the most generation allowed (``p_w`` ≤ 0, a cap).
    ``ev_hub``, ``flex_load``: the most consumption allowed (``p_w`` ≥ 0, a cap).
    ``battery``: the power itself.
    """

    PV = "pv"
    WIND = "wind"
    GENERATOR = "generator"
    BATTERY = "battery"
    EV_HUB = "ev_hub"
    FLEX_LOAD = "flex_load"

    @property
    def generates(self) -> bool:
        """True when the set point caps generation."""
        return self in (UnitKind.PV, UnitKind.WIND, UnitKind.GENERATOR)

    @property
    def consumes(self) -> bool:
        """True when the set point caps consumption."""
        return self in (UnitKind.EV_HUB, UnitKind.FLEX_LOAD)


@dataclass(frozen=True, slots=True)
class Actuator:
    """How a unit follows a set point: dead time, first-order lags, ramp limits (W/s, magnitudes)."""

    latency_s: float
    tau_p_s: float
    tau_q_s: float
    ramp_up_w_per_s: float
    ramp_down_w_per_s: float


@dataclass(frozen=True, slots=True)
class Storage:
    """Energy content; efficiencies are one-way, 0…1."""

    e_rated_wh: float
    soc_min_frac: float
    soc_max_frac: float
    eff_charge_frac: float
    eff_discharge_frac: float
    soc_initial_frac: float = 0.5


@dataclass(frozen=True, slots=True)
class FailSafe:
    """The state that the unit is left in when control is lost.

    ``p_w`` is the safe set point (load convention, meaning by kind); ``lease_s`` is how long the device honours a
    set point that is not refreshed before it goes there by itself (infinite: it holds the last one).
    """

    p_w: float
    q_var: float
    lease_s: float


@dataclass(frozen=True, slots=True)
class Unit:
    """One controllable unit. Powers in ``p_rated_w`` etc. are magnitudes.

    ``p_min_w`` ≤ ``p_max_w`` is the feasible active power range (load convention). ``stack_position``: 1 is last in,
    so first to be curtailed; 0 stands outside the stack. ``price_eur_per_mwh`` is the cost of not using it (for a
    battery: of throughput).
    """

    id: str
    bus: str
    kind: UnitKind
    p_rated_w: float
    s_rated_va: float
    q_max_var: float
    p_min_w: float
    p_max_w: float
    price_eur_per_mwh: float
    stack_position: int
    group: str
    reports_available: bool
    actuator: Actuator
    fail_safe: FailSafe
    storage: Storage | None = None
    connected_on: str = ""
