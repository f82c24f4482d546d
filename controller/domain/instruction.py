"""What an operator or the platform tells the controller: a leased command that always ends by itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from controller.domain.owner import Owner
from controller.domain.plan import StoredEnergyPrice

EVERYTHING = "all"
"""Subject of a hold or a release that means the whole site; no element of a site may have this name."""
INTERFACE = "interface"
"""Subject of a reactive instruction: where the site meets the upstream network, as in the names of points."""


_REPLAYED = re.compile(r"replayed: counter \d+ of .* is not above (\d+)", re.ASCII | re.DOTALL)


class Action(Enum):
    """What may be asked for; none of them can raise a limit."""

    LIMIT = "limit"  # narrow a limit of the site, or cap one unit
    OVERRIDE = "override"  # a unit's set point, inside every limit
    BLOCK = "block"  # a unit must not run
    HOLD = "hold"  # set points do not relax
    RESERVE = "reserve"  # a unit has sold what it does beyond so much: limits may take that first
    REACTIVE = "reactive"  # reactive power at the interface (voltage support), inside every limit
    WORTH = "worth"  # what energy in one unit's storage is worth; decides only when nothing else does
    RELEASE = "release"  # end what this operator's desk has in force
    RESET_G100 = "reset-g100"  # end a lock-out of the export or import limitation scheme
    RESET_TRIPS = "reset-trips"  # let units that the escalation ladder tripped or isolated run again


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction as it was received; nothing in it has been judged yet.

    ``counter`` grows with every instruction of an ``issuer``; ``issued_utc_s`` is the issuer's time of day (s since
    1970) and ``lasts_s`` how long it holds from then on. ``subject`` is a limit, an element or a unit by id, or
    ``all``. ``value`` is what the action asks for: a magnitude in the limit's own unit (A for a branch, W for
    ``export``, ``import``, a unit's cap and where a reserve begins), or a set point in W (load convention); NaN when it
    asks for no number.
    ``q_var`` may go with a set point, and is what a reactive instruction asks for at the interface: positive flows into
    the site. ``worth`` is what the station's look-ahead says of the subject's storage, by content. ``owner`` is the
    layer that it speaks for: whoever received it knows, the line does not say. ``unkept`` is why nothing that is
    accepted now would outlive a restart; empty when it would, or when nobody keeps anything.
    """

    id: str
    issuer: str
    counter: int
    issued_utc_s: float
    lasts_s: float
    action: Action
    subject: str
    value: float = math.nan
    q_var: float | None = None
    reason: str = ""
    owner: Owner = Owner.OPERATOR
    worth: StoredEnergyPrice | None = None
    unkept: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What a newer instruction of the same kind replaces: any operator's, but only the platform desk's own."""
        desk = "" if self.owner is Owner.OPERATOR else self.issuer
        return desk, self.action.value, self.subject


@dataclass(frozen=True, slots=True)
class Standing:
    """An accepted instruction in force until ``expires_at_s`` (monotonic site seconds).

    ``held_p_w`` are the set points, in the order of the site's units, at which a hold keeps them; empty otherwise.
    ``before_var`` is the reactive power at the interface before anybody asked for another; None for other actions.
    """

    instruction: Instruction
    expires_at_s: float
    held_p_w: tuple[float, ...] = ()
    before_var: float | None = None

    @property
    def cause(self) -> str:
        """How limits and set points name it: ``operator:<id>``."""
        return f"{self.instruction.owner.value}:{self.instruction.id}"


def replayed(asked: Instruction, last: int) -> str:
    """Why an instruction is refused whose counter is not above the highest that its issuer has used."""
    return f"replayed: counter {asked.counter} of {asked.issuer} is not above {last}"


def last_counter(refusal: str) -> int | None:
    """The highest counter that an issuer has used, from :func:`replayed`; None for any other refusal.

    Who means it says it again with a higher one. Counters are often made of the time of day: one that was far ahead
    once would else shut its issuer out until that time has come.
    """
    found = _REPLAYED.fullmatch(refusal)
    return None if found is None else int(found[1])
