"""Two farms behind one line, each line of the fork wrong by a factor of its own: does the real core still come to rest?

    BB 11 kV (stiff) --L1--> N1 --L2--> N2  W2 2.5 MW
                              \\--L3--> N3  W3 2.5 MW, the dearer one

The voltages at N2 and N3 bind both. First W2's wind falls to a half, then W3's to less than a half, and both come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

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

from .margin import REST_FRAC, SAMPLE_AGE_S, SUBSTEP_S, Case

Array = np.ndarray
BUSES = ("BB", "N1", "N2", "N3")
LINES = (("L1", "BB", "N1", 1.0, 0.5), ("L2", "N1", "N2", 0.8, 0.6), ("L3", "N1", "N3", 0.9, 0.5))  # ohm, true
FARMS = (("W2", "N2", 50.0), ("W3", "N3", 60.0))
RATED_W, S_RATED_VA, U_HIGH_PU, TAU_Q_S = 2.5e6, 2.75e6, 1.025, 0.5
CALM = ((40.0, 60.0, 0.5), (80.0, 100.0, 0.4))  # of each farm: from, until, what is left of the wind
END_S, JUDGED_S = 200.0, 50.0
FACTORS = (0.5, 1.0, 1.9)  # true over believed impedance
CASES = (Case(1.0, 0.5, 1.0), Case(3.0, 1.5, 1.0), Case(1.0, 3.0, 4.0))
Q_MAX_VAR = (0.0, 0.8e6)


def site_of(case: Case, ratios: tuple[float, ...], q_max_var: float) -> Site:
    """The site as its file tells it: every line as many times better than it is as ``ratios`` say."""
    lines = tuple(Line(n, a, b, r / k, x / k, 0.0, 1000.0) for (n, a, b, r, x), k in zip(LINES, ratios, strict=True))
    network = Topology(50.0, Source("BB", 5e9, 0.1), tuple(Bus(b, 11e3) for b in BUSES), lines, (), ())
    told = Actuator(case.latency_s, case.tau_s, 1.0, 1e9, 1e9)
    farms = tuple(
        Unit(n, b, UnitKind.WIND, RATED_W, S_RATED_VA, q_max_var, -RATED_W, 0.0, price, k, "", True, told,
             FailSafe(0.0, 0.0, 15.0))
        for k, (n, b, price) in enumerate(FARMS)
    )  # fmt: skip
    points = [f"branch.{line.id}.{x}" for line in lines for x in ("p_w", "q_var", "i_a")]
    points += [f"bus.{b}.u_v" for b in BUSES]
    meter = Device("M", "modbus", "127.0.0.1:1", 1, "meter", {p: p for p in points}, None, 1.0, 3.0, 0.5)
    limits = tuple(Limit(f"{b}.voltage", LimitKind.VOLTAGE, b, U_HIGH_PU * 11e3, 9.9e3) for _, b, _ in FARMS)
    chain = MeasurementChain(latency_s=SAMPLE_AGE_S)
    return Site("several", network, farms, limits, (meter,), CycleSettings(cycle_s=case.cycle_s), chain)


class Farms:
    """P (under its cap and the wind) and Q of both: dead time, then a first-order lag."""

    def __init__(self, case: Case) -> None:
        self.case, self.now_s = case, 0.0
        self.cap_w, self.q_var = np.full(2, RATED_W), np.zeros(2)
        self._waiting = [(-np.inf, self.cap_w.copy(), self.q_var.copy())]
        self.trace = [(self.cap_w.copy(), self.q_var.copy())]

    @property
    def wind_w(self) -> Array:
        """What the wind gives each."""
        left = [frac if start <= self.now_s < end else 1.0 for start, end, frac in CALM]
        return RATED_W * np.array(left)

    def tell(self, cap_w: Array, q_var: Array) -> None:
        """New set points; they begin to act after the dead time."""
        self._waiting.append((self.now_s + self.case.latency_s, cap_w, q_var))

    def move(self, dt_s: float) -> None:
        """Follow the set points in force."""
        for _ in range(round(dt_s / SUBSTEP_S)):
            self.now_s += SUBSTEP_S
            while len(self._waiting) > 1 and self._waiting[1][0] <= self.now_s + 1e-9:
                self._waiting.pop(0)
            _, cap_w, q_var = self._waiting[0]
            at_once = np.minimum(self.cap_w, np.maximum(self.wind_w, cap_w))
            self.cap_w = np.where(cap_w < self.cap_w, at_once, self.cap_w)
            self.cap_w += (cap_w - self.cap_w) * (1.0 - np.exp(-SUBSTEP_S / self.case.tau_s))
            self.q_var = self.q_var + (q_var - self.q_var) * (1.0 - np.exp(-SUBSTEP_S / TAU_Q_S))
            self.trace.append((np.minimum(self.cap_w, self.wind_w), self.q_var))

    def sampled(self) -> tuple[Array, Array]:
        """P and Q when the newest sample was taken."""
        return self.trace[max(len(self.trace) - 1 - round(SAMPLE_AGE_S / SUBSTEP_S), 0)]


def swing_frac(case: Case, ratios: tuple[float, ...], q_max_var: float) -> tuple[float, set[str]]:
    """How far P or Q of a farm swings at the end, per unit of the rating, and the names of all that was told."""
    site, farms, told = site_of(case, ratios, q_max_var), Farms(case), set[str]()
    truth = GridModel(site_of(case, (1.0, 1.0, 1.0), q_max_var).topology)
    state, digit = initial_state(site), np.random.default_rng(1)
    while farms.now_s < END_S - 1e-9:
        values = _readings(truth, *farms.sampled(), farms.wind_w)
        seen = {n: v * (1.0 + 1e-5 * digit.standard_normal()) for n, v in values.items()}
        at_s = farms.now_s - SAMPLE_AGE_S
        points = {n: Measurement(v, Quality.GOOD, at_s, farms.now_s) for n, v in seen.items()}
        state, record = step(site, state, Snapshot(farms.now_s, points))
        told |= {event.name for event in record.events}
        farms.tell(np.array([-s.p_w for s in record.setpoints]), np.array([s.q_var for s in record.setpoints]))
        farms.move(case.cycle_s)
    late = np.array([np.concatenate(x) for x in farms.trace[-round(JUDGED_S / SUBSTEP_S) :]])
    return float(np.ptp(late, axis=0).max()) / RATED_W, told


def _readings(truth: GridModel, p_w: Array, q_var: Array, wind_w: Array) -> dict[str, float]:
    flow = truth.solve(np.concatenate([[0.0], -p_w, [0.0], q_var]))
    values: dict[str, float] = {}
    for k, (line, *_) in enumerate(LINES):
        measured = (flow.p_w[k], flow.q_var[k], flow.i_a[k])
        values |= {f"branch.{line}.{x}": float(v) for x, v in zip(("p_w", "q_var", "i_a"), measured, strict=True)}
    values |= {f"bus.{b}.u_v": float(u) for b, u in zip(BUSES, flow.u_v, strict=True)}
    for k, (farm, *_) in enumerate(FARMS):
        said = {"p_w": -p_w[k], "q_var": q_var[k], "p_avail_w": -wind_w[k]}
        values |= {f"unit.{farm}.{x}": float(v) for x, v in said.items()}
    return values


def judged() -> Iterator[tuple[Case, tuple[float, ...], float, float, set[str]]]:
    """Every case with every combination of factors, without and with reactive power: swing (frac), events."""
    for case, q_max_var in product(CASES, Q_MAX_VAR):
        for ratios in product(FACTORS, repeat=len(LINES)):
            yield case, ratios, q_max_var, *swing_frac(case, ratios, q_max_var)


def rest(swing: float) -> bool:
    """Whether that is rest."""
    return swing < REST_FRAC
