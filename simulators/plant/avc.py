"""Automatic voltage control of a busbar by the on-load tap changers of its parallel transformers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AvcSettings:
    """Target and dead-band (each side) in pu of the busbar's rated voltage; delay before the first and further taps.

    60–120 s and ±1.5–2 % are usual at 33/11 kV. ``on_load`` False: the taps are off-load, nobody turns them in service.
    """

    on_load: bool = True
    target_pu: float = 1.0
    dead_band_pu: float = 0.015
    delay_s: float = 90.0
    further_s: float = 30.0


class Avc:
    """One relay; moves all transformers of the busbar together (master and followers)."""

    def __init__(self, settings: AvcSettings, tap_pos: int, tap_min: int, tap_max: int) -> None:
        self.settings = settings
        self.tap_pos = tap_pos
        self._tap_min = tap_min
        self._tap_max = tap_max
        self._outside_s = 0.0
        self._direction = 0
        self._wait_s = settings.delay_s

    def step(self, u_pu: float, dt_s: float) -> bool:
        """Advance by ``dt_s`` with the busbar at ``u_pu``; True when the tap position has changed.

        A higher position means more turns at the higher-voltage side, so less voltage on the busbar.
        """
        deviation_pu = u_pu - self.settings.target_pu
        direction = (deviation_pu > self.settings.dead_band_pu) - (deviation_pu < -self.settings.dead_band_pu)
        if direction != self._direction:
            self._direction, self._outside_s, self._wait_s = direction, 0.0, self.settings.delay_s
        if direction == 0:
            return False
        self._outside_s += dt_s
        if self._outside_s < self._wait_s:
            return False
        self._outside_s, self._wait_s = 0.0, self.settings.further_s
        moved = min(max(self.tap_pos + direction, self._tap_min), self._tap_max)
        changed = moved != self.tap_pos
        self.tap_pos = moved
        return changed
