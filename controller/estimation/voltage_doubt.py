"""Voltage meters that contradict their neighbours by more than the drop between them allows.

Between two buses that lines join the voltage differs by a drop that the model knows but for its impedances, and they
are wrong by a share. So what a bus reads above the others, less what the model says, is its meter's error give or take
a share of the present drop. Every operating point narrows that interval, and what no operating point explains is the
meter's: a transformer ratio one step off, a wrong phase. Of three meters the middle one is the witness; of two, nobody
can tell which is wrong. Either way a limit is kept on the worse of what the meter says and what the others say of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.site import Site
from controller.domain.topology import Topology

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOOK_S, TAU_S = 3.0, 12.0  # at least, from one look to the next; over which errors are averaged
LOOKS_MIN = 4.0  # before a mean says anything
DROP_SHARE = 0.35  # of the drop between a bus and the others: impedances, and demand that nobody meters
UNKNOWN_SHARE = 1.5  # the same where a line's impedance is only assumed
OTHERS_PU = 0.004  # what two honest meters may differ by beyond their bounds of bias
EVENT_PU = 0.003  # less is margin without a word
WIDENS_PU_PER_S = 2e-7  # how fast an interval that nothing confirms opens again: 0.2 % in three hours


@dataclass(frozen=True, slots=True)
class VoltageDoubt:
    """By bus, pu: mean error against the model, and the interval in which its meter's own error lies; looks so far."""

    error_pu: Array
    looks: Array
    least_pu: Array
    most_pu: Array
    looked_s: float


class VoltageWitness:
    """Constants of one site."""

    def __init__(self, site: Site, u_rated_v: Array) -> None:
        self._names = [f"bus.{b.id}" for b in site.topology.buses]
        self._rated_v = u_rated_v
        self._every_s = max(round(LOOK_S / site.cycle.cycle_s), 1) * site.cycle.cycle_s
        self._gain = min(self._every_s / TAU_S, 1.0)
        self._most_pu = OTHERS_PU + 2.0 * site.chain.bias_u_rel
        known = all(line.impedance_known for line in site.topology.lines)
        self._share = DROP_SHARE if known else UNKNOWN_SHARE
        self._zones = _zones(site.topology)

    def initial(self) -> VoltageDoubt:
        """Nothing seen yet."""
        n = len(self._names)
        return VoltageDoubt(np.zeros(n), np.zeros(n), np.full(n, -np.inf), np.full(n, np.inf), -np.inf)

    def due(self, before: VoltageDoubt, now_s: float) -> bool:
        """Whether it is time for the next look."""
        return now_s - before.looked_s > self._every_s - 1e-6

    def update(self, before: VoltageDoubt, read_v: Array, model_v: Array, now_s: float) -> VoltageDoubt:
        """Take in this cycle's readings (V; NaN = nothing new or believed) and what the model says without them."""
        error = (read_v - model_v) / self._rated_v
        new = np.isfinite(error)
        gain = np.where(new, np.maximum(self._gain, 1.0 / (before.looks + 1.0)), 0.0)
        mean = before.error_pu + gain * (np.where(new, error, 0.0) - before.error_pu)
        looks = before.looks + new
        own, doubt = self._own(mean, model_v / self._rated_v, looks >= LOOKS_MIN)
        opened = WIDENS_PU_PER_S * self._every_s
        low, high = own - doubt, own + doubt  # NaN without a witness
        least, most = np.fmax(before.least_pu - opened, low), np.fmin(before.most_pu + opened, high)
        anew = least > most  # the meter is not what it was
        return VoltageDoubt(mean, looks, np.where(anew, low, least), np.where(anew, high, most), now_s)

    def _own(self, mean_pu: Array, model_pu: Array, known: BoolArray) -> tuple[Array, Array]:
        """By bus how far its mean error is from that of the middle one of its zone, and what drops make of it, pu."""
        own, doubt = np.full(len(mean_pu), np.nan), np.full(len(mean_pu), np.nan)
        for zone in self._zones:
            here = zone[known[zone]]
            if len(here) < 2:
                continue
            if len(here) == 2:
                middle = here[::-1]  # each is the other's witness
            else:
                order = here[np.argsort(mean_pu[here])]
                middle = np.full(len(here), order[(len(order) - 1) // 2])
                if len(order) % 2 == 0:  # the middle one that is nearer
                    upper = order[len(order) // 2]
                    nearer = np.abs(mean_pu[here] - mean_pu[upper]) < np.abs(mean_pu[here] - mean_pu[middle])
                    middle = np.where(nearer, upper, middle)
            own[here] = mean_pu[here] - mean_pu[middle]
            doubt[here] = self._most_pu + self._share * np.abs(model_pu[here] - model_pu[middle])
        return own, doubt

    def hidden_v(self, state: VoltageDoubt) -> tuple[Array, Array]:
        """How far each voltage lies above, and below, what its meter says if the others are right, V ≥ 0.

        Where honest meters cannot differ so much; then it is the middle of the interval that counts.
        """
        if not (some(state.most_pu < 0.0) or some(state.least_pu > 0.0)):
            zero = np.zeros(len(self._names))
            return zero, zero
        wrong = (state.most_pu < 0.0) | (state.least_pu > 0.0)
        error_pu = np.where(
            wrong, 0.5 * (np.where(wrong, state.least_pu, 0.0) + np.where(wrong, state.most_pu, 0.0)), 0.0
        )
        return np.maximum(-error_pu, 0.0) * self._rated_v, np.maximum(error_pu, 0.0) * self._rated_v

    def flags(self, state: VoltageDoubt) -> dict[tuple[str, str], str]:
        """Events in force and what to say about them."""
        off = np.maximum(-state.most_pu, state.least_pu)
        return {
            ("meter.voltage_off", self._names[k]): (
                f"reads {100.0 * off[k]:.1f} % of the rated voltage or more "
                f"{'below' if state.most_pu[k] < 0.0 else 'above'} what the meters beside it and the drop between say"
            )
            for k in np.flatnonzero(off > EVENT_PU).tolist()
        }


def _zones(topology: Topology) -> list[NDArray[np.intp]]:
    """Buses that lines join, as places among all buses: between them no tap changer stands."""
    buses = [b.id for b in topology.buses]
    zone = {bus: bus for bus in buses}
    for line in topology.lines:
        first, last = zone[line.from_bus], zone[line.to_bus]
        zone = {bus: first if z == last else z for bus, z in zone.items()}
    return [
        np.array([k for k, b in enumerate(buses) if zone[b] == z], dtype=np.intp) for z in sorted(set(zone.values()))
    ]
