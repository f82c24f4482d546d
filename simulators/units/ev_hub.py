"""A charging hub: cars arrive, want energy, take what the hub's cap leaves them, and drive off when full or late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulators.units.course import DAY_S, Array, by_hour

_TAPER_FROM_FRAC = 0.8  # of its energy need: from there on a car asks for less and less
_TAPER_END = 0.2
_HOT_START_S = 3 * 3600  # arrivals this long before the start of the world are played in before it starts
_OVERNIGHT_S = 15 * 3600  # the same where vehicles stay until the morning


@dataclass(frozen=True, slots=True)
class EvSettings:
    """Arrivals per clock hour; a car's greatest and least power, its mean energy need and its mean stay.

    With ``leaves_h`` (earliest and latest clock hour) vehicles stay plugged in until they leave for the day, full or
    not, whatever the stay. ``before_w_max`` is the most that the hub had before the world's start.
    """

    arrivals_per_h: Mapping[float, float]
    car_w_max: float = 150_000.0
    car_w_min: float = 8_000.0
    energy_wh: float = 38_000.0
    stay_s: float = 2700.0
    leaves_h: tuple[float, float] | None = None
    before_w_max: float = float("inf")


class EvHub:
    """All cars of one hub; power is consumption, W ≥ 0. Clock time wraps: every day has the same arrivals."""

    def __init__(self, settings: EvSettings, p_rated_w: float, rng: np.random.Generator, clock_s: float) -> None:
        self._settings = settings
        self._p_rated_w = p_rated_w
        self._arrival_s, self._need_wh, self._stay_s, self._car_w = _day_of_cars(settings, rng)
        self._got_wh: Array = np.zeros(0)
        self._full_until_s: Array = np.zeros(0)
        self._cars: Array = np.zeros((3, 0))  # need Wh, own limit W, leaves at s: one column per car
        before_s = _HOT_START_S if settings.leaves_h is None else _OVERNIGHT_S
        self._clock_s = clock_s - before_s
        self._next = self._next_arrival()
        self.request_w = 0.0
        for _ in range(before_s // 30):
            self.arrive(30.0)
            self.charge(min(self.request_w, settings.before_w_max), 30.0)

    @property
    def cars(self) -> int:
        """Number of cars that are plugged in and not full."""
        return int(self._cars.shape[1])

    @property
    def plugged(self) -> int:
        """Number of cars at a charger, those that are full and stay included."""
        return self.cars + len(self._full_until_s)

    @property
    def wanted_wh(self) -> float:
        """Energy that they still want."""
        return float((self._cars[0] - self._got_wh).sum())

    def arrive(self, dt_s: float) -> float:
        """Let ``dt_s`` pass: cars come and go; the sum of what the cars ask for, at most the hub's rating."""
        self._clock_s += dt_s
        while self._clock_s >= self._next[0]:
            self._plug_in(self._next[1])
            self._next = self._next_arrival(self._next[1] + 1)
        staying = (self._cars[2] > self._clock_s) & (self._got_wh < self._cars[0])
        if not staying.all():
            self._keep_full(self._cars[2][~staying])
            self._cars, self._got_wh = self._cars[:, staying], self._got_wh[staying]
        if len(self._full_until_s):
            self._full_until_s = self._full_until_s[self._full_until_s > self._clock_s]
        self.request_w = min(float(self._wishes_w().sum()), self._p_rated_w)
        return self.request_w

    def _keep_full(self, until_s: Array) -> None:
        """Cars that are full stay until they leave for the day, where they do so; others have driven off."""
        if self._settings.leaves_h is not None:
            self._full_until_s = np.concatenate([self._full_until_s, until_s])

    def charge(self, power_w: float, dt_s: float) -> None:
        """Share ``power_w`` among the cars for ``dt_s``: first come first served at the least power, rest by wish."""
        if self.cars == 0:
            return
        wishes_w = self._wishes_w()
        least_w = np.minimum(wishes_w, self._settings.car_w_min)
        served = np.cumsum(least_w) <= power_w + 1e-6
        shares_w = np.where(served, least_w, 0.0)
        room_w = np.where(served, wishes_w - least_w, 0.0)
        spare_w = max(power_w - float(shares_w.sum()), 0.0)
        total_w = float(room_w.sum())
        if total_w > 0.0:
            shares_w = shares_w + room_w * min(spare_w / total_w, 1.0)
        self._got_wh = self._got_wh + shares_w * dt_s / 3600.0

    def _wishes_w(self) -> Array:
        done = self._got_wh / self._cars[0] if self.cars else self._got_wh
        taper = np.interp(done, (0.0, _TAPER_FROM_FRAC, 1.0), (1.0, 1.0, _TAPER_END))
        out: Array = self._cars[1] * taper
        return out

    def _plug_in(self, number: int) -> None:
        k = number % len(self._arrival_s)
        column = np.array([[self._need_wh[k]], [self._car_w[k]], [self._clock_s + self._stay_s[k]]])
        self._cars = np.hstack((self._cars, column))
        self._got_wh = np.append(self._got_wh, 0.0)

    def _next_arrival(self, number: int | None = None) -> tuple[float, int]:
        """Instant and running number of the next car; counted through the days from the clock's zero."""
        count = len(self._arrival_s)
        if count == 0:
            return float("inf"), 0
        if number is None:
            day, rest_s = divmod(self._clock_s, DAY_S)
            number = int(day) * count + int(np.searchsorted(self._arrival_s, rest_s, side="right"))
        day_of, k = divmod(number, count)
        return float(day_of * DAY_S + self._arrival_s[k]), number


def _day_of_cars(settings: EvSettings, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Arrival (s since midnight, ascending), need (Wh), stay (s) and own limit (W) of every car of the day."""
    rate_per_s = np.maximum(by_hour(settings.arrivals_per_h), 0.0) / 3600.0
    arrival_s = np.flatnonzero(rng.random(DAY_S) < rate_per_s).astype(np.float64)
    count = len(arrival_s)
    need_wh = settings.energy_wh * rng.uniform(0.4, 1.6, count)
    stay_s = settings.stay_s * rng.uniform(0.5, 2.0, count)
    if settings.leaves_h is not None:
        leaves_s = 3600.0 * rng.uniform(*settings.leaves_h, count)
        stay_s = (leaves_s - arrival_s) % DAY_S
    car_w = settings.car_w_max * rng.uniform(0.4, 1.0, count)
    return arrival_s, need_wh, stay_s, car_w
