"""All reasons to restrict that a site has, and what they remember, for the durable state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits import in_force
from controller.limits.in_force import Reason
from controller.limits.transformer import hot_spots

if TYPE_CHECKING:
    from controller.control.cycle import ControlState


Maker = Callable[[Site], Iterable[Reason[Any]]]

MAKERS: tuple[Maker, ...] = (hot_spots,)
"""Each finds in a site what it is responsible for; at equal values an earlier one keeps the cause."""


def reasons_of(site: Site) -> tuple[Reason[Any], ...]:
    """Every reason that the site's configuration calls for. Raises ``ValueError`` when two share a key."""
    found = tuple(reason for maker in MAKERS for reason in maker(site))
    keys = [reason.key for reason in found]
    if len(set(keys)) < len(keys):
        raise ValueError(f"reasons share a key: {sorted(keys)}; expected each once")
    return found


def dump_memory(state: ControlState) -> dict[str, Any]:
    """What must outlive the process, as JSON."""
    return in_force.dump(state.engine.reasons, state.reasons)


def restore_memory(
    state: ControlState, document: Mapping[str, Any], gap_s: float, now_s: float
) -> tuple[ControlState, list[Event]]:
    """A state before its first cycle with what :func:`dump_memory` wrote ``gap_s`` ago (NaN: nobody knows how long).

    What cannot be used is told and starts cautiously.
    """
    reasons, events = in_force.restore(state.engine.reasons, document, gap_s, now_s)
    return replace(state, reasons=reasons), events
