"""How old readings are whatever their time stamps say: units' meters against the network's meters around them.

What a unit does passes the meters around it in the same instant. When its own reading moves two seconds after theirs,
one of the two chains is late without saying so: a gateway that polls slowly, a concentrator that stamps on arrival.
Every balance of powers (:mod:`controller.estimation.balance`) is looked at with the unit's reading taken so many
samples earlier or later; each such shift is charged its squared contradiction, in P and in Q, with forgetting, and
also what it would be if the unit had no part in it at all. A shift is believed once it explains what no shift does
not, by far, and it explains more than nothing at all would: so noise, frozen meters and wrong signs prove none.

Balances tell differences. Where most units' readings precede the network's, it is the network's that are late.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.consistency import Witness
from controller.estimation.layout import Layout

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LATE_MAX_S = 6.0  # what is later than this is not looked for
SAMPLE_S = 0.5  # at least, from one look to the next
MOVE_S = 2.0  # over which movements are compared: longer is mixed with the demand's
TELLING_SIGMAS = 6.0  # of a balance's noise: a unit that moved by less shows nothing
ERROR_MAX = 4.0  # sigmas beyond which a contradiction is no worse
NOISE_SHARE = 0.1  # of the newest contradiction in what is taken for a balance's noise
FORGET = 0.97  # per telling look
PROOF = 25.0  # of charge: so much better than the other explanations
LATE_MIN_FRAC = 0.6  # of a look: less is no lateness that matters


@dataclass(frozen=True, slots=True)
class Lateness:
    """Readings by look, quantity (P, Q) and element; per shift and unit the charge, per unit that of no part at all.

    ``shift`` is how many looks the unit's readings follow the network's (0 = not proven), ``known`` marks units for
    which that is proven, 0 too. The last column of ``charge`` and ``apart`` and ``common`` are of one shift that all
    units share. ``unit_s`` and ``network_s`` are the ages of readings beyond their stamps, s.
    """

    at_s: float
    past: Array
    charge: Array
    apart: Array
    noise_var: Array
    shift: Array
    known: BoolArray
    common: float
    unit_s: Array
    network_s: float

    @property
    def anybody(self) -> bool:
        """Whether anything is late."""
        return self.network_s > 0.0 or some(self.unit_s)

    def of_one_instant(self, read: Array, sample_s: float) -> Array:
        """This cycle's readings (P, Q; element) as if all were as old as the oldest; ``sample_s`` is between looks."""
        if not self.anybody:
            return read
        age_s = np.concatenate([np.full(read.shape[1] - len(self.unit_s), self.network_s), self.unit_s])
        back = np.rint((age_s.max() - age_s) / sample_s).astype(np.intp)
        then = self.past[-back, :, np.arange(len(age_s))].T
        return np.where((back > 0) & np.isfinite(read), then, read)


class LatenessWatch:
    """Constants of one site."""

    def __init__(self, layout: Layout, witness: Witness) -> None:
        nb, n = layout.n_branch, layout.n_unit
        self.sample_s = look_s(layout)
        self.most = max(math.ceil(LATE_MAX_S / self.sample_s - 1e-9), 1)
        self.move = max(round(MOVE_S / self.sample_s), 1)
        self._names = witness.names[nb + 1 :]
        balance = np.full(n, -1, dtype=np.intp)
        for j, b in enumerate(witness.balances):
            balance[b.members[b.members > nb] - nb - 1] = j
        self.unit = np.flatnonzero(balance >= 0)
        own = balance[self.unit]
        self._sign = witness.levels.sign[own, : nb + 1]
        self._member = witness.levels.member[own]
        self._together = (own[:, None] == own[None, :]).astype(float)
        self._share = 1.0 / self._together.sum(axis=0)  # of its balance, so that each counts once
        self._n_network, self._n, self._every = nb + 1, n, np.arange(len(own))
        sigma = witness.elements(layout.row_sigma) ** 2
        of_units = sigma[:, nb + 1 + self.unit] @ self._together
        self._noise_var = 2.0 * (sigma[:, : nb + 1] @ (self._sign**2).T + of_units)

    def initial(self) -> Lateness:
        """Everything is as old as it says."""
        n, shifts = len(self.unit), 2 * self.most + 1
        past = np.full((shifts + self.move, 2, self._n_network + self._n), np.nan)
        charge, apart, no = np.zeros((shifts, n + 1)), np.zeros(n + 1), np.zeros(n, dtype=bool)
        return Lateness(-np.inf, past, charge, apart, self._noise_var, np.zeros(n), no, 0.0, np.zeros(self._n), 0.0)

    def due(self, before: Lateness, now_s: float) -> bool:
        """Whether it is time for the next look."""
        return len(self.unit) > 0 and now_s - before.at_s > self.sample_s - 1e-6

    def update(self, before: Lateness, read: Array, recent: BoolArray, now_s: float) -> Lateness:
        """Take in this cycle's P, Q by element (2, n), NaN where nothing is new; who is not ``recent`` says nothing."""
        kept = before.past if now_s - before.at_s < 1.5 * self.sample_s else np.full_like(before.past, np.nan)
        newest = np.where(recent, np.where(np.isfinite(read), read, kept[-1]), np.nan)
        looked = replace(before, at_s=now_s, past=np.concatenate([kept[1:], newest[None]]))
        moves = looked.past[self.move :] - looked.past[: -self.move]
        of_units = moves.take(self._n_network + self.unit, axis=2)
        span = of_units.max(axis=0) - of_units.min(axis=0)  # NaN, not all known, tells nothing
        telling = (span * span > TELLING_SIGMAS**2 * before.noise_var).any(axis=0)
        if not some(telling):
            return looked
        if math.isnan(float(moves.sum())):
            unknown = np.isnan(moves)
            telling &= self._member @ unknown.any(axis=(0, 1)) == 0.0
            moves, of_units = np.where(unknown, 0.0, moves), np.where(np.isnan(of_units), 0.0, of_units)
        return self._judged(self._charged(looked, moves, of_units, telling)) if some(telling) else looked

    def _charged(self, state: Lateness, moves: Array, of_units: Array, telling: BoolArray) -> Lateness:
        """With what the middle of the window says: every shift has readings around it."""
        aligned, shifts = of_units[self.most], len(of_units)
        if state.common or some(state.shift):
            shift = np.where(state.known, state.shift, state.common)
            aligned = of_units[self.most + np.rint(shift).astype(np.intp), :, self._every].T
        through = moves[self.most, :, : self._n_network] @ self._sign.T
        apart = through - (aligned @ self._together - aligned)
        # By what is supposed (each shift of one unit, no part of its; each shift of all, no part of anybody's).
        error = np.concatenate([apart - of_units, apart[None], through - of_units @ self._together, through[None]])
        error *= error
        noise = state.noise_var + NOISE_SHARE * (error[:shifts].min(axis=0) - state.noise_var)
        weight = np.where(telling, 1.0 / self.move, 0.0)
        by_quantity = np.minimum(error / state.noise_var, ERROR_MAX**2)
        cost = by_quantity[:, 0] + by_quantity[:, 1]
        charged = np.empty((shifts + 1, len(telling) + 1))
        np.multiply(cost[: shifts + 1], weight, out=charged[:, :-1])
        charged[:, -1] = cost[shifts + 1 :] @ (weight * self._share)
        keep = np.append(np.where(telling, FORGET, 1.0), FORGET)
        return replace(
            state,
            charge=keep * state.charge + charged[:-1],
            apart=keep * state.apart + charged[-1],
            noise_var=np.where(telling, np.maximum(noise, self._noise_var), state.noise_var),
        )

    def _judged(self, state: Lateness) -> Lateness:
        """What the charges prove by now."""
        charge = state.charge
        least, punctual = charge.min(axis=0), charge[self.most]
        if not (state.anybody or state.common or some(punctual - least > PROOF)):
            return state
        explains = state.apart - least > PROOF
        weight = np.exp(-0.5 * (charge - least))
        mean = (np.arange(-self.most, self.most + 1)[:, None] * weight).sum(axis=0) / weight.sum(axis=0)
        shifted = explains & (punctual - least > PROOF) & (np.abs(mean) > LATE_MIN_FRAC)
        beside = np.delete(charge, [self.most - 1, self.most, self.most + 1], axis=0).min(axis=0, initial=np.inf)
        cleared = explains & (beside - punctual > PROOF) & ~shifted
        known = state.known | (shifted | cleared)[:-1]
        before = np.append(state.shift, state.common)
        shift = np.where(shifted, mean, np.where(cleared, 0.0, before))
        return self._ages(replace(state, shift=shift[:-1], known=known, common=float(shift[-1])))

    def _ages(self, state: Lateness) -> Lateness:
        """Ages that explain the shifts: as much as possible the units', the network's where most are ahead of it."""
        shift, known = state.shift, state.known
        if not (some(shift) or state.common or state.anybody):
            return state
        common = float(np.median(shift[known])) if some(known) else state.common
        every = np.full(self._n, state.common)
        every[self.unit] = np.where(known, shift, state.common)
        network = max(0.0, -common)
        late = np.maximum(every + network, 0.0)
        late = np.where(late > LATE_MIN_FRAC, late, 0.0)
        return replace(state, unit_s=self.sample_s * late, network_s=self.sample_s * network)

    def flags(self, state: Lateness) -> dict[tuple[str, str], str]:
        """Events in force and what to say about them."""
        if not state.anybody:
            return {}
        ages_s = zip(self._names, state.unit_s.tolist(), strict=True)
        late = {("meter.late", name): _says(late_s) for name, late_s in ages_s if late_s > 0.0}
        return late | ({("meter.late", "network"): _says(state.network_s)} if state.network_s > 0.0 else {})


def look_s(layout: Layout) -> float:
    """Time from one look to the next, s: whole cycles."""
    cycle_s = layout.site.cycle.cycle_s
    return max(math.ceil(SAMPLE_S / cycle_s - 1e-9), 1) * cycle_s


def _says(late_s: float) -> str:
    return f"reads what was {late_s:.1f} s before its time stamp"
