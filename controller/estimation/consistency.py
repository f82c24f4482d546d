"""Meters that answer, move and lie: wired backwards, wrong ratio, or in contradiction with the others.

Three witnesses: what an element can be (a solar farm does not consume), levels (a demand outside what the loads can
be, which putting right exactly one meter would explain) and movements (``evidence.py``, one balance per cycle). A
meter is quarantined only when the witnesses name it alone; its readings then count as missing, and its limits are kept
on what the others say, with margins that grow as for any silent meter. Where they name several, nobody is quarantined,
and a branch that would carry more if the others were right gets the whole contradiction as margin: the worse counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every, some
from controller.estimation.balance import Balance, Levels, balances, element_names, element_scale
from controller.estimation.evidence import Evidence, Finding, judge, look, no_evidence
from controller.estimation.layout import Layout
from controller.estimation.standing import PROVEN_S, Standing, StandingLevels, more_w

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FRESH_CYCLES = 2.5  # readings of one balance may be this far apart in age
QUIET_FRAC = 0.01  # of its scale per cycle: a meter that moves faster is read at another instant than its neighbours
LEVEL_S = 10.0  # a contradiction of levels must last this long before a meter is blamed
SCALE_S = 20.0  # before a ratio within NEAR is named from levels: a meter that has stopped is found frozen by then
NEAR = (0.7, 1.4)
DOUBT_S = 3.0  # and this long before the branches concerned get it as margin
TURNED_FRAC = 0.1  # of its scale: with less power a reversed sign makes no difference
NATURE_FRAC, NATURE_S = 0.05, 10.0  # of its rating, and for so long: power in a direction that the unit cannot have
FACTOR_MAX = 10.0  # a ratio beyond this is not told apart
BACKWARDS = -0.3  # a factor below this is a reversed sign, whatever the ratio


@dataclass(frozen=True, slots=True)
class Consistency:
    """Memory. By element: power, |S|², sample times and whether it was quiet. By balance: evidence and finding, and
    whom they accuse of which factor; since when the levels contradict (inf = they do not) and by how much (signed: so
    much more demand than its loads can be); ``standing`` is what they are off by on average. By element:
    since when its nature contradicts, the factor that a quarantined meter reads of the truth (NaN = trusted), and
    since when it is consistent again.
    """

    p_w: Array
    s2_va2: Array
    at_s: Array
    quiet: BoolArray
    evidence: tuple[Evidence, ...]
    finding: tuple[Finding, ...]
    accused: Mapping[int, float]
    level_since_s: Array
    contradiction_w: Array
    standing: Standing
    unnatural_since_s: Array
    factor: Array
    clean_since_s: Array
    turn: int

    @property
    def quarantined(self) -> BoolArray:
        """Elements whose meter is not believed."""
        out: BoolArray = np.isfinite(self.factor)
        return out


class Witness:
    """Constants of one site."""

    def __init__(self, layout: Layout) -> None:
        self.names = element_names(layout.site)
        self.balances = balances(layout)
        self.levels = Levels.of(self.balances, len(self.names))
        self.scale = element_scale(layout)
        self.standing = StandingLevels(layout, self.levels, self.scale)
        self.nb, self.n_unit = layout.n_branch, layout.n_unit
        self.cycle_s = layout.site.cycle.cycle_s
        self.hold_s = layout.site.cycle.recovery_hold_s
        self._quiet_w, self._unnatural_w = QUIET_FRAC * self.scale, -NATURE_FRAC * self.scale
        self.nature = np.zeros(len(self.names))
        for k, u in enumerate(layout.site.units):
            self.nature[self.nb + 1 + k] = -1.0 if u.kind.generates else float(u.kind.consumes)
        nb, n = self.nb, self.n_unit
        branch, unit = np.arange(nb), 2 * nb + 2 + np.arange(n)
        p_rows, q_rows = [*branch, 2 * nb, *unit], [*(nb + branch), 2 * nb + 1, *(n + unit)]
        self._pq_rows = np.array([p_rows, q_rows], dtype=np.intp)
        self._of: list[list[int]] = [[] for _ in self.names]
        for j, balance in enumerate(self.balances):
            for k in balance.members:
                self._of[int(k)].append(j)

    def initial(self) -> Consistency:
        """Everybody is trusted until shown otherwise."""
        n, m = len(self.names), len(self.balances)
        nan, never, forever = np.full(n, np.nan), np.full(n, -np.inf), np.full(n, np.inf)
        evidence = tuple(no_evidence(b) for b in self.balances)
        return Consistency(
            p_w=nan, s2_va2=np.zeros(n), at_s=never, quiet=np.zeros(n, dtype=bool), evidence=evidence,
            finding=tuple(judge(e, b) for e, b in zip(evidence, self.balances, strict=True)),
            accused={},
            level_since_s=np.full(m, np.inf), contradiction_w=np.zeros(m), standing=self.standing.initial(),
            unnatural_since_s=forever, factor=nan, clean_since_s=forever, turn=0,
        )  # fmt: skip

    def elements(self, rows: Array) -> Array:
        """P and Q (first index) by element from the measured rows' values."""
        out: Array = rows[self._pq_rows]
        return out

    def update(self, before: Consistency, p: Array, q: Array, now_s: float) -> Consistency:
        """Take in this cycle's raw P and Q (by element, W and var; NaN = nothing new) and judge one balance."""
        new = np.isfinite(p)
        p_w, at_s = np.where(new, p, before.p_w), np.where(new, now_s, before.at_s)
        s2 = np.where(new, p * p + np.where(np.isfinite(q), q * q, 0.0), before.s2_va2)
        level_since_s, contradiction_w = self._levels(before, p_w, s2, at_s, now_s)
        state = Consistency(
            p_w=p_w,
            s2_va2=s2,
            at_s=at_s,
            quiet=np.where(new, np.abs(p - before.p_w) < self._quiet_w, before.quiet),
            evidence=before.evidence,
            finding=before.finding,
            accused=before.accused,
            level_since_s=level_since_s,
            contradiction_w=contradiction_w,
            standing=before.standing,
            unnatural_since_s=self._unnatural(before, p, new, now_s),
            factor=before.factor,
            clean_since_s=before.clean_since_s,
            turn=before.turn + 1,
        )
        if self.balances:
            state = self._look(state, state.turn % len(self.balances), now_s)
            if state.turn % self.standing.every == 0:
                fresh = now_s - at_s <= FRESH_CYCLES * self.cycle_s
                standing = self.standing.update(state.standing, p_w, s2, fresh, state.quiet, now_s)
                state = replace(state, standing=standing)
        return self._sentence(state, now_s)

    def _unnatural(self, before: Consistency, p: Array, new: BoolArray, now_s: float) -> Array:
        """By element since when its power has a direction that it cannot have, s (inf = it has not)."""
        unnatural, since_s = p * self.nature < self._unnatural_w, before.unnatural_since_s
        if not some(unnatural) and every(np.isinf(since_s)):
            return since_s
        return np.where(new, np.where(unnatural, np.minimum(since_s, now_s), np.inf), since_s)

    def _levels(self, before: Consistency, p_w: Array, s2_va2: Array, at_s: Array, now_s: float) -> tuple[Array, Array]:
        """All balances' levels; a balance of which something is not fresh stays as it was."""
        if not self.balances:
            return before.level_since_s, before.contradiction_w
        off_w = self.levels.contradiction_w(p_w, s2_va2, now_s - at_s <= FRESH_CYCLES * self.cycle_s)
        known = np.isfinite(off_w)
        since = np.where(off_w != 0.0, np.minimum(before.level_since_s, now_s), np.inf)
        young = now_s - before.level_since_s < PROVEN_S  # of a meter that fell silent: it may have been frozen
        kept = np.where(young, np.inf, before.level_since_s)
        return np.where(known, since, kept), np.where(known, off_w, before.contradiction_w)

    def _fresh(self, state: Consistency, balance: Balance, now_s: float) -> bool:
        return every(now_s - state.at_s[balance.members] <= FRESH_CYCLES * self.cycle_s)

    def _look(self, state: Consistency, j: int, now_s: float) -> Consistency:
        """The movements of one balance, when all its meters are quiet."""
        balance = self.balances[j]
        if not self._fresh(state, balance, now_s) or not every(state.quiet[balance.members]):
            return state
        demand_w, _ = balance.demand_w(state.p_w, state.s2_va2)
        evidence = look(state.evidence[j], balance, state.p_w, demand_w, now_s)
        if evidence is state.evidence[j]:
            return state
        finding = (*state.finding[:j], judge(evidence, balance), *state.finding[j + 1 :])
        return replace(
            state,
            evidence=(*state.evidence[:j], evidence, *state.evidence[j + 1 :]),
            finding=finding,
            accused=self._by_movement(finding, state.quarantined),
        )

    def _sentence(self, state: Consistency, now_s: float) -> Consistency:
        """Quarantine who is named alone; release who was consistent for the recovery hold."""
        since_s = min(state.unnatural_since_s.min(initial=np.inf), state.level_since_s.min(initial=np.inf))
        if not state.accused and math.isinf(since_s) and every(np.isnan(state.factor)):
            return state
        factor, clean_since = state.factor.copy(), state.clean_since_s.copy()
        unnatural = now_s - state.unnatural_since_s >= NATURE_S
        factor = np.where(unnatural & ~np.isfinite(factor), -1.0, factor)
        for k, value in ({**state.accused, **self._by_level(state, now_s)}).items():
            if not np.isfinite(factor[k]):
                factor[k] = value
        state = self._judged_anew(state, np.isfinite(factor) & ~state.quarantined)
        for k in np.flatnonzero(state.quarantined).tolist():
            clean = self._is_clean(state, k, float(factor[k]), now_s)
            if clean is not None:
                clean_since[k] = min(clean_since[k], now_s) if clean else np.inf
        free = now_s - clean_since >= self.hold_s
        return replace(
            state,
            factor=np.where(free, np.nan, factor),
            clean_since_s=np.where(free, np.inf, clean_since),
        )

    def _judged_anew(self, state: Consistency, found: BoolArray) -> Consistency:
        """Without the evidence of balances whose culprit is found: only what comes now can clear it."""
        if not some(found):
            return state
        again = {j for k in np.flatnonzero(found).tolist() for j in self._of[k]}
        evidence = tuple(no_evidence(self.balances[j]) if j in again else e for j, e in enumerate(state.evidence))
        finding = tuple(judge(e, b) for e, b in zip(evidence, self.balances, strict=True))
        return replace(state, evidence=evidence, finding=finding, accused={})

    def _by_movement(self, findings: tuple[Finding, ...], quarantined: BoolArray) -> dict[int, float]:
        """Who reads a wrong factor, by the movements: named by one balance and cleared by none."""
        factors = np.concatenate([f.factor for f in findings])
        if not some(np.isfinite(factors) & (factors != 1.0)):
            return {}
        cleared: set[int] = set()
        named: dict[int, float] = {}
        doubtful: list[list[tuple[int, float]]] = []
        for balance, finding in zip(self.balances, findings, strict=True):
            pairs = list(zip(balance.members.tolist(), finding.factor.tolist(), strict=True))
            cleared |= {k for k, f in pairs if f == 1.0}
            wrong = [(k, f) for k, f in pairs if np.isfinite(f) and f != 1.0]
            if finding.shared:
                doubtful.append(wrong)
            else:
                named |= dict(wrong)
        for wrong in doubtful:
            left = [(k, f) for k, f in wrong if k not in cleared]
            if len(left) == 1 and not any(k in named or quarantined[k] for k, _ in wrong):
                named[left[0][0]] = left[0][1]
        return {k: f for k, f in named.items() if k not in cleared}

    def _by_level(self, state: Consistency, now_s: float) -> dict[int, float]:
        """The one meter of the network whose reading alone, put right, would satisfy every balance.

        One balance blames its members equally, and its loads may be other than configured. So a meter is named only
        by two balances together, at the interface, where there is no load, or when its sign is exactly what is wrong.
        """
        off = np.flatnonzero(now_s - state.level_since_s >= LEVEL_S).tolist()
        if not off or any(some(state.quarantined[self.balances[j].members]) for j in off):
            return {}
        suspects = set.intersection(*(set(self.balances[j].members.tolist()) for j in off))
        right = {k: self._put_right_w(state, k, now_s) for k in suspects if self.nature[k] == 0.0 and k <= self.nb}
        able = [(k, w) for k, w in right.items() if w is not None]
        if len(able) != 1:
            return {}
        k, (low_w, high_w) = able[0]
        p_w = float(state.p_w[k])
        turned = low_w <= -2.0 * p_w <= high_w and abs(p_w) > TURNED_FRAC * self.scale[k]
        if not (turned or len(off) > 1 or k == self.nb):
            return {}
        true_w = p_w + 0.5 * (low_w + high_w)
        true_w = math.copysign(max(abs(true_w), abs(p_w) / FACTOR_MAX, 1.0), true_w)
        factor = -1.0 if turned else p_w / true_w
        soon = NEAR[0] < factor < NEAR[1] and now_s - state.level_since_s[off].max() < SCALE_S
        return {} if soon else {k: factor}

    def _put_right_w(self, state: Consistency, k: int, now_s: float) -> tuple[float, float] | None:
        """What the reading of ``k`` would have to be corrected by to satisfy all its balances; None if nothing can."""
        mine = [self.balances[j] for j in self._of[k]]
        if not all(self._fresh(state, b, now_s) for b in mine):
            return None
        spans = [b.missing_w(k, state.p_w, state.s2_va2) for b in mine]
        low_w, high_w = max(s[0] for s in spans), min(s[1] for s in spans)
        return (low_w, high_w) if low_w <= high_w else None

    def _is_clean(self, state: Consistency, k: int, factor: float, now_s: float) -> bool | None:
        """Whether a quarantined meter is consistent now; None when nothing can be told (too little power flows)."""
        if state.unnatural_since_s[k] < np.inf:
            return False
        findings = [(self.balances[j], state.finding[j]) for j in self._of[k]]
        proofs = [float(f.factor[b.members == k][0]) for b, f in findings]
        known = [x for x in proofs if np.isfinite(x)]
        if known:
            return all(x == 1.0 for x in known)
        if factor > BACKWARDS:
            return None
        if abs(state.p_w[k]) < NATURE_FRAC * self.scale[k] or now_s - state.at_s[k] > FRESH_CYCLES * self.cycle_s:
            return None
        if self.nature[k] != 0.0:
            return True
        if any(state.level_since_s[j] < np.inf for j in self._of[k]):
            return False
        span = self._put_right_w(state, k, now_s)
        return True if span is None or not span[0] <= -2.0 * float(state.p_w[k]) <= span[1] else None

    def doubt_w(self, state: Consistency, now_s: float) -> Array:
        """Branches, then the interface: power beyond its reading, by balances for which nobody was quarantined, W."""
        out = np.zeros(len(self.names))
        for j in self._doubted(state, now_s, DOUBT_S):
            out = np.maximum(out, self.standing.hidden_w(state.standing, j, state.p_w))
            if math.isfinite(state.level_since_s[j]):
                out = np.maximum(out, more_w(self.levels.sign[j], state.contradiction_w[j], state.p_w))
        return np.where(np.isfinite(out), out, 0.0)[: self.nb + 1]

    def _doubted(self, state: Consistency, now_s: float, lasts_s: float) -> list[int]:
        """Balances that have been contradicting for so long while none of their members is quarantined."""
        since_s = np.minimum(state.level_since_s, state.standing.since_s)
        long = np.flatnonzero(now_s - since_s >= lasts_s).tolist()
        return [j for j in long if not some(state.quarantined[self.balances[j].members])]

    def flags(self, state: Consistency, now_s: float) -> dict[tuple[str, str], str]:
        """Events in force and what to say about them."""
        out = {}
        for k in state.quarantined.nonzero()[0]:
            if state.factor[k] < BACKWARDS:
                out["meter.wired_backwards", self.names[k]] = "its sign contradicts the other meters"
            else:
                text = f"reads {state.factor[k]:.2f} times what the other meters say"
                out["meter.wrong_scale", self.names[k]] = text
        for j in self._doubted(state, now_s, LEVEL_S):
            out["meter.contradiction", self.balances[j].bus] = self._says(state, j)
        return out

    def _says(self, state: Consistency, j: int) -> str:
        """How far a balance is off, between whom, and by which factor if there are but two."""
        balance = self.balances[j]
        off_w = max(float(state.contradiction_w[j]), float(state.standing.off_w[j]), key=abs)
        text = f"{abs(off_w) / 1e3:.3g} kW between {', '.join(self.names[k] for k in balance.members)}"
        if len(balance.members) != 2:
            return text
        first, second = (int(k) for k in balance.members)
        reads_w = float(state.standing.p_w[second])
        true_w = reads_w - float(balance.sign[1]) * off_w
        if not min(abs(reads_w), abs(true_w)) > NATURE_FRAC * self.scale[second]:
            return text
        return f"{text}: {self.names[second]} reads {reads_w / true_w:.2f} times what {self.names[first]} says"
