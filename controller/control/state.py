"""What the fast loop remembers from one cycle to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.control.bounds import Probe
from controller.control.engine import Engine
from controller.control.override import Book
from controller.control.pace import Pace, initial_pace
from controller.control.persistence import Persistence, initial_persistence
from controller.control.programme import Expected
from controller.control.recovery import Recovery, initial_recovery
from controller.control.storage import Surplus
from controller.control.trust import Trust, initial_trust
from controller.control.tuning import DEFAULT, Tuning
from controller.domain.record import Mode
from controller.domain.site import Site
from controller.estimation.actuator import CommandHistory
from controller.estimation.estimator import EstimatorState

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ControlState:
    """Memory of the fast loop between two cycles; replaced whole, never changed.

    ``reasons`` holds what each reason to restrict remembers, by its key, ``book`` what operators have in force,
    ``added_var`` what voltage support has added to each unit's reactive power, ``expected`` what the last programme
    came to, at which a large one begins.
    """

    engine: Engine
    seq: int
    estimator: EstimatorState | None
    reasons: Mapping[str, Any]
    book: Book
    now_s: float
    history: CommandHistory
    set_p_w: Array
    set_q_var: Array
    held: BoolArray
    probe: Probe
    surplus: Surplus
    persistence: Persistence
    given_up: BoolArray
    recovery: Recovery
    pace: Pace
    trust: Trust
    mode: Mode
    ready_since_s: float
    flags: frozenset[tuple[str, str]]
    bound_at_s: Array
    limit_high: Array | None
    added_var: Array
    expected: Expected | None = None


def initial_state(site: Site, tuning: Tuning = DEFAULT) -> ControlState:
    """State before the first cycle: nothing commanded yet, every cap as the device has it by itself."""
    engine = Engine(site, tuning)
    n = len(site.units)
    history = CommandHistory(np.array([-np.inf]), engine.open_p_w[None, :], np.zeros((1, n)))
    held, n_r = engine.units.is_battery.copy(), len(engine.resources.unit)
    return ControlState(
        engine=engine,
        seq=0,
        estimator=None,
        reasons={},
        book=Book(),
        now_s=0.0,
        history=history,
        set_p_w=engine.open_p_w,
        set_q_var=np.zeros(n),
        held=held,
        probe=Probe(np.zeros(n_r), np.zeros(n_r)),
        surplus=Surplus(),
        persistence=initial_persistence(len(site.limits)),
        given_up=np.zeros(n, dtype=bool),
        recovery=initial_recovery(n),
        pace=initial_pace(engine.resources, n),
        trust=initial_trust(n),
        mode=Mode.BOOT,
        ready_since_s=np.inf,
        flags=frozenset(),
        bound_at_s=np.full(len(site.limits), -np.inf),
        limit_high=None,
        added_var=np.zeros(n),
    )
