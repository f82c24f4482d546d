"""What one cycle of the fast loop saw, decided and why: the unit of explanation, replay and display."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from controller.domain.command import Setpoint


class Mode(Enum):
    """How far down the fail-safe ladder the site is."""

    BOOT = "boot"  # nothing relaxing is written until every limit-relevant point is good
    NORMAL = "normal"  # all limit-relevant points good
    DEGRADED = "degraded"  # some limit is kept on a worst case
    FAIL_SAFE = "fail_safe"  # nothing is known: every unit at its safe set point
    STOPPING = "stopping"  # clean shutdown: safe set points are being written


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit in one cycle; values in the limit's own unit (A, V or W).

    ``value`` is the best estimate, ``worst`` the most dangerous value consistent with the data; ``loading_frac`` and
    ``worst_frac`` are the same as fractions of the limit (voltage: of the band, 1.0 = at either edge). ``shadow_eur``
    is what one per unit more room would have saved in this cycle, ``given_up_w`` what units give up because of it.
    ``high``/``low`` are the limit in force in this cycle and ``cause`` what they come from (``rating``: the site file
    alone); ``facts`` are numbers behind it, with the unit in their name (``hot_spot_c``, ``ageing_rate``, …).
    """

    id: str
    kind: str
    element: str
    value: float
    worst: float
    high: float
    low: float | None
    loading_frac: float
    worst_frac: float
    quality: str
    binding: bool
    shadow_eur: float = 0.0
    cause: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)
    given_up_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Withheld:
    """Power (W ≥ 0) that a unit gives up because of ``cause``.

    A limit's id, ``mode.…``, ``unit.lost``, or ``release``: no limit asks for it any more, it is being given back.
    """

    cause: str
    w: float


@dataclass(frozen=True, slots=True)
class UnitState:
    """One unit in one cycle (load convention).

    ``status``: ``free``, ``held`` (a limit shapes its set point), ``deaf`` (does not follow; gets no credit),
    ``lost`` (no telemetry), ``safe`` (at its fail-safe set point). ``withheld`` splits ``curtailed_w`` by cause,
    largest first; ``rank`` is the unit's turn to give way under the site's principle of access: 1 first, 0 outside.
    ``latency_s`` and ``tau_s`` are the dead time and lag that were identified from its movements. ``worth_eur_per_mwh``
    is what one more MWh in its storage counted for, ``worth_cause`` who says so: ``plan:…`` (an instruction of the
    station's look-ahead), ``plan`` (it came with the snapshot) or ``rule`` (the loop's own); empty without storage.
    """

    id: str
    kind: str
    p_w: float
    q_var: float
    p_avail_w: float
    p_set_w: float
    q_set_var: float
    curtailed_w: float
    soc_frac: float
    status: str
    causes: tuple[str, ...]
    withheld: tuple[Withheld, ...] = ()
    rank: int = 0
    latency_s: float = math.nan
    tau_s: float = math.nan
    worth_eur_per_mwh: float = math.nan
    worth_cause: str = ""


@dataclass(frozen=True, slots=True)
class BusState:
    """What nobody controls at one bus in one cycle, as estimated: W and var (load convention)."""

    id: str
    p_w: float
    q_var: float


@dataclass(frozen=True, slots=True)
class Event:
    """A transition worth a line in the journal. ``name`` is from the table in ``docs/events.md``."""

    name: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Restriction:
    """A reason to restrict that is at work: who (``cause``), what (a limit or a unit), why in words, and how long yet.

    ``left_s`` is NaN when it does not end by the clock.
    """

    cause: str
    subject: str
    text: str
    left_s: float


@dataclass(frozen=True, slots=True)
class SupportState:
    """Voltage support in one cycle: reactive power at the interface, var (import positive).

    ``cause`` names the instruction in charge, ``owner`` its layer. ``asked_var`` ± ``tolerance_var`` is wanted,
    ``q_var`` flows, ``before_var`` flowed before anybody asked, and the units are brought to ``reached_var``; where
    that is short, ``obstacle`` says why. ``units`` are those that give their reactive power, ``left_s`` is how long it
    lasts yet.
    """

    cause: str
    owner: str
    asked_var: float
    tolerance_var: float
    before_var: float
    q_var: float
    reached_var: float
    obstacle: str
    units: tuple[str, ...]
    left_s: float


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """Everything about one cycle. ``given_up_w`` is what all units together give up under ``principle``, W.

    ``support`` is None while nobody asks for reactive power at the interface; ``buses`` are all but the source's.
    ``limits``, ``units`` and ``buses`` may be :class:`~controller.domain.deferred.Deferred`.
    """

    seq: int
    now_s: float
    mode: Mode
    limits: Sequence[LimitState]
    units: Sequence[UnitState]
    setpoints: tuple[Setpoint, ...]
    events: tuple[Event, ...]
    feasible: bool = True
    sacrificed: tuple[str, ...] = ()
    principle: str = ""
    given_up_w: float = 0.0
    restrictions: tuple[Restriction, ...] = ()
    support: SupportState | None = None
    buses: Sequence[BusState] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready form; NaN stays NaN and is the writer's business."""
        out = asdict(replace(self, limits=tuple(self.limits), units=tuple(self.units), buses=tuple(self.buses)))
        out["mode"] = self.mode.value
        return out
