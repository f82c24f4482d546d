"""Numbers of the fast-loop law. Prices are relative to the dearest unit; powers to the largest unit's rating."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """All tunable numbers in one place, with what each buys.

    ``pool_frac``: room under a limit that is kept so that free units may rise without asking (more = smoother tracking
    of clouds, less energy); it grows by ``pool_per_s`` for every second that a cycle is longer than one, because demand
    moves meanwhile, up to ``pool_max_frac``. ``lead_horizon_s`` and ``lead_min_frac``: how soon an overload must be
    gone, and the least share of a slow unit's move that is counted on by then (below 0.4 the loop's gain margin goes).
    ``unseen_penalty_frac``: what breaking the margin of a voltage that has no meter costs beside one that has; where
    not all can be kept, what may be gives way to what is.
    ``quiet_*``: while the nearest limit is used this closely, moves smaller than these shares of the rating wait.
    """

    pool_frac: float = 0.006
    pool_per_s: float = 0.001
    pool_max_frac: float = 0.01
    thermal_penalty: float = 60.0
    voltage_penalty: float = 400.0
    unseen_penalty_frac: float = 0.3
    transient_penalty: float = 12.0
    lead_horizon_s: float = 3.0
    lead_min_frac: float = 0.4
    move_cost: float = 0.1
    q_cost: float = 0.03
    q_move_cost: float = 0.1
    free_frac: float = 0.015
    at_cap_frac: float = 0.006
    still_at_cap_frac: float = 0.02
    rising_frac: float = 0.004
    probe_frac: float = 0.15
    slack_min_frac: float = 0.005
    limited_frac: float = 0.01
    quiet_frac: float = 0.003
    quiet_q_frac: float = 0.05
    quiet_move_frac: float = 0.03
    quiet_storage_frac: float = 0.1
    deadband_p_frac: float = 0.003
    deadband_q_frac: float = 0.01
    storage_taper_s: float = 60.0

    def pool(self, cycle_s: float) -> float:
        """Room kept under a limit, as a fraction of it, at this cycle time."""
        return min(self.pool_frac + self.pool_per_s * max(cycle_s - 1.0, 0.0), self.pool_max_frac)


DEFAULT = Tuning()
