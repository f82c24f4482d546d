"""Voltage support in words: whose instruction about reactive power at the interface counts, and what comes of it.

One at a time: that of the highest layer (an operator before the distribution operator's desk before the transmission
operator's), and of one layer the one accepted last. A request of a co-simulated course counts when no instruction
stands. How units deliver it is in :mod:`controller.control.assist`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controller.domain.instruction import Action, Standing
from controller.domain.site import Site
from controller.domain.unit import Unit

TOLERANCE_FRAC = 0.01
"""Of the reactive power of all units together: as near to what is asked as their dead-bands let the sum come."""
MET_FRAC = 0.6
"""Of the tolerance: who was short has met it again only inside this."""


@dataclass(frozen=True, slots=True)
class Attained:
    """What units can make of ``asked_var`` ± ``tolerance_var`` at the interface now; var, import positive.

    ``now_var`` is what flows, ``reached_var`` what they are brought to without anybody giving up active power.
    ``binds`` names the limits in the way, or a mode; ``spent`` the units that have no more to give in this direction.
    """

    asked_var: float
    now_var: float
    reached_var: float
    tolerance_var: float
    binds: tuple[str, ...] = ()
    spent: tuple[str, ...] = ()

    @property
    def missing_var(self) -> float:
        """How far from what is asked it ends, var ≥ 0."""
        return abs(self.asked_var - self.reached_var)

    def in_full(self, was_short: bool = False) -> bool:
        """Whether it ends inside the tolerance; with hysteresis for what was short before."""
        return self.missing_var <= (MET_FRAC if was_short else 1.0) * self.tolerance_var

    @property
    def obstacle(self) -> str:
        """What stands in the way, in words."""
        said = [f"{', '.join(self.binds)} in the way"] if self.binds else []
        said += [f"no more to be had from {', '.join(self.spent)}"] if self.spent else []
        return " and ".join(said) or "no unit has reactive power to give"

    @property
    def words(self) -> str:
        """The answer: in full, or how much of it and why not more."""
        if self.in_full():
            return f"in full: {_kvar(self.asked_var)} kvar"
        instead = f"{_kvar(self.reached_var)} instead of {_kvar(self.asked_var)} kvar"
        return f"in part: {instead} can be had now, {self.obstacle}"


Judge = Callable[[Standing], Attained]
"""What can be had now of a reactive instruction, were it in charge."""


def tolerance_var(units: Sequence[Unit]) -> float:
    """How near to what was asked is near enough, var."""
    return TOLERANCE_FRAC * sum(unit.q_max_var for unit in units)


def in_charge(standing: Sequence[Standing]) -> Standing | None:
    """The one reactive instruction that counts; None when none stands."""
    asked = [(s.instruction.owner.priority, -k, s) for k, s in enumerate(standing) if is_support(s)]
    return min(asked, key=lambda x: x[:2])[2] if asked else None


def is_support(standing: Standing) -> bool:
    """Whether it is about reactive power at the interface."""
    return standing.instruction.action is Action.REACTIVE


def before_var(standing: Sequence[Standing], now_var: float) -> float:
    """What flowed before anybody asked: as long as one instruction follows the other, what was before the first."""
    return next((s.before_var for s in standing if is_support(s) and s.before_var is not None), now_var)


def beyond_interface(site: Site, q_var: float) -> str:
    """Why so much cannot flow at the interface at all; empty when it can."""
    most_var = interface_va(site)
    if abs(q_var) <= most_var:
        return ""
    return f"out of range: {q_var:g} var; what connects the site carries at most ±{most_var:g}"


def interface_va(site: Site) -> float:
    """Apparent power of all that connects the site to its source, VA."""
    bus = site.topology.source.bus
    rated_v = next(b.u_rated_v for b in site.topology.buses if b.id == bus)
    lines = [x.i_max_a * rated_v * math.sqrt(3.0) for x in site.topology.lines if bus in (x.from_bus, x.to_bus)]
    return sum(lines) + sum(x.s_max_va for x in site.topology.transformers if bus in (x.hv_bus, x.lv_bus))


def hopeless(attained: Attained, from_var: float) -> str:
    """Why an instruction is refused whole; empty when at least something of it can be had.

    ``from_var`` is what flowed before anybody asked: less progress than the tolerance is none.
    """
    if not all(map(math.isfinite, (attained.reached_var, attained.now_var))):
        return "nobody knows the reactive power at the interface"
    progress_var = abs(attained.asked_var - from_var) - attained.missing_var
    if attained.in_full() or progress_var > attained.tolerance_var:
        return ""
    now = f"{_kvar(attained.now_var)} kvar flow"
    return f"nothing of {_kvar(attained.asked_var)} kvar can be had now, {now}, {attained.obstacle}"


def _kvar(q_var: float) -> str:
    return f"{q_var / 1e3 + 0.0:.4g}"
