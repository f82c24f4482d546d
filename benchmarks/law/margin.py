"""How wrong the model may be before the loop hunts: the real core on one line with one wind farm.

    BB 11 kV (stiff) --L--> N   WIND 4 MW, which the voltage limit at N holds to about 60 %

The farm's effect on the voltage is the line's resistance, so a line whose true impedance is ``ratio`` times that of the
site file is a gain error of exactly that ratio. Availability drops and comes back; afterwards the farm's power must
come to rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.limit import Limit, LimitKind
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import CycleSettings, Device, MeasurementChain, Site
from controller.domain.snapshot import Snapshot
from controller.domain.topology import Bus, Line, Source, Topology
from controller.domain.unit import Actuator, FailSafe, Unit, UnitKind
from controller.grid.model import GridModel

RATED_W = 4e6
R_OHM, X_OHM = 1.0, 0.5
U_HIGH_PU = 1.02
SUBSTEP_S = 0.05
SAMPLE_AGE_S = 0.5
DISTURBED_S = (40.0, 60.0)  # half the wind is gone in between
END_S = 160.0
JUDGED_S = 50.0  # at the end
REST_FRAC = 0.03  # of the rating: a wider swing than this at the end is hunting
PLACE_FRAC = 0.05  # of the rating: coming to rest elsewhere than at the limit is no control
RUNGS = tuple(round(1.2**k, 2) for k in range(14))  # 1 to 10.7: the ratios tried


@dataclass(frozen=True, slots=True)
class Case:
    """One point of the map: true lag and dead time of the farm (s), the cycle, and how the site file misjudges lags."""

    tau_s: float
    latency_s: float
    cycle_s: float = 1.0
    lag_factor: float = 1.0  # true over believed, of dead time and lag


def site_of(case: Case, ratio: float) -> Site:
    """The site as its file tells it: the line ``ratio`` times better than it is."""
    network = Topology(
        f_hz=50.0,
        source=Source("BB", 5e9, 0.1),
        buses=(Bus("BB", 11e3), Bus("N", 11e3)),
        lines=(Line("L", "BB", "N", R_OHM / ratio, X_OHM / ratio, 0.0, 1000.0),),
        transformers=(),
        loads=(),
    )
    told = Actuator(case.latency_s / case.lag_factor, case.tau_s / case.lag_factor, 1.0, 1e9, 1e9)
    farm = Unit(
        "WIND", "N", UnitKind.WIND, RATED_W, RATED_W, 0.0, -RATED_W, 0.0, 50.0, 1, "", True, told,
        FailSafe(0.0, 0.0, 15.0),
    )  # fmt: skip
    points = ["branch.L.p_w", "branch.L.q_var", "branch.L.i_a", "bus.BB.u_v", "bus.N.u_v"]
    meter = Device("M", "modbus", "127.0.0.1:1", 1, "meter", {p: p for p in points}, None, 1.0, 3.0, 0.5)
    limit = Limit("N.voltage", LimitKind.VOLTAGE, "N", U_HIGH_PU * 11e3, 0.9 * 11e3)
    chain = MeasurementChain(latency_s=SAMPLE_AGE_S)
    return Site("margin", network, (farm,), (limit,), (meter,), CycleSettings(cycle_s=case.cycle_s), chain)


class Farm:
    """Dead time, then a first-order lag that acts on the cap; never more than the wind gives."""

    def __init__(self, case: Case) -> None:
        self.case, self.now_s, self.cap_w = case, 0.0, RATED_W
        self._waiting = [(-math.inf, RATED_W)]
        self.trace: list[tuple[float, float]] = [(0.0, RATED_W)]

    @property
    def available_w(self) -> float:
        """What the wind gives."""
        return RATED_W * (0.5 if DISTURBED_S[0] <= self.now_s < DISTURBED_S[1] else 1.0)

    def tell(self, cap_w: float) -> None:
        """A new cap; it begins to act after the dead time."""
        self._waiting.append((self.now_s + self.case.latency_s, cap_w))

    def move(self, dt_s: float) -> None:
        """Follow the cap in force."""
        for _ in range(round(dt_s / SUBSTEP_S)):
            self.now_s += SUBSTEP_S
            while len(self._waiting) > 1 and self._waiting[1][0] <= self.now_s + 1e-9:
                self._waiting.pop(0)
            target_w = self._waiting[0][1]
            if target_w < self.cap_w:
                self.cap_w = min(self.cap_w, max(self.available_w, target_w))
            self.cap_w += (target_w - self.cap_w) * (1.0 - math.exp(-SUBSTEP_S / self.case.tau_s))
            self.trace.append((self.now_s, min(self.cap_w, self.available_w)))

    def sampled_w(self) -> float:
        """Power when the newest sample was taken."""
        return self.trace[max(len(self.trace) - 1 - round(SAMPLE_AGE_S / SUBSTEP_S), 0)][1]


def trace_of(case: Case, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (s) and power (W) of the farm in closed loop with the real core."""
    site, farm = site_of(case, ratio), Farm(case)
    line = replace(site.topology.lines[0], r_ohm=R_OHM, x_ohm=X_OHM)
    truth = GridModel(replace(site.topology, lines=(line,)))
    state, digit = initial_state(site), np.random.default_rng(1)
    while farm.now_s < END_S - 1e-9:
        p_w = farm.sampled_w()
        flow = truth.solve(np.array([-p_w, 0.0]))
        values = {
            "branch.L.p_w": float(flow.p_w[0]), "branch.L.q_var": float(flow.q_var[0]),
            "branch.L.i_a": float(flow.i_a[0]), "bus.BB.u_v": float(flow.u_v[0]), "bus.N.u_v": float(flow.u_v[1]),
            "unit.WIND.p_w": -p_w, "unit.WIND.q_var": 0.0, "unit.WIND.p_avail_w": -farm.available_w,
        }  # fmt: skip
        at_s = farm.now_s - SAMPLE_AGE_S
        seen = {n: v * (1.0 + 1e-5 * digit.standard_normal()) for n, v in values.items()}
        points = {n: Measurement(v, Quality.GOOD, at_s, farm.now_s) for n, v in seen.items()}
        state, record = step(site, state, Snapshot(farm.now_s, points))
        farm.tell(-record.setpoints[0].p_w)
        farm.move(case.cycle_s)
    t_s, p_w = np.array(farm.trace).T
    return t_s, p_w


def rests(case: Case, ratio: float) -> bool:
    """Whether the loop comes to rest at the limit after the disturbance."""
    t_s, p_w = trace_of(case, ratio)
    late = p_w[t_s > END_S - JUDGED_S]
    still = float(np.ptp(late)) < REST_FRAC * RATED_W
    return still and abs(float(late.mean()) - held_w()) < PLACE_FRAC * RATED_W


@cache
def held_w() -> float:
    """Power at which a model without error holds the voltage limit."""
    t_s, p_w = trace_of(Case(1.0, 0.5), 1.0)
    return float(p_w[t_s > END_S - JUDGED_S].mean())


def margin(case: Case) -> float:
    """The largest ratio true / believed gain up to which the loop always comes to rest; 0 when it never does."""
    found = 0.0
    for ratio in RUNGS:
        if not rests(case, ratio):
            break
        found = ratio
    return found
