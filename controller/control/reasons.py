"""All reasons to restrict that a site has, and what they remember, for the durable state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.control.book import dump_book, load_book
from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits import in_force
from controller.limits.cable import cable_ratings
from controller.limits.calendar import CalendarReason
from controller.limits.escalation.reason import escalation
from controller.limits.g100.reason import G100Reason
from controller.limits.in_force import Reason
from controller.limits.operator import OperatorReason
from controller.limits.overhead import overhead_ratings
from controller.limits.season import seasons
from controller.limits.standing_contract import StandingContract
from controller.limits.transformer import hot_spots
from controller.limits.voltage_mean import VoltageMeanReason

if TYPE_CHECKING:
    from controller.control.state import ControlState


Maker = Callable[[Site], Iterable[Reason[Any]]]

INSTRUCTIONS = "instructions"
"""Key of the operators' instructions in the durable state."""


def _g100(site: Site) -> Iterable[Reason[Any]]:
    return () if site.connection.g100 is None else (G100Reason(site, site.connection.g100),)


def _operator(site: Site) -> Iterable[Reason[Any]]:
    return (OperatorReason(site),)


def _calendar(site: Site) -> Iterable[Reason[Any]]:
    return (CalendarReason(site),) if site.connection.caps else ()


def _standing_contract(site: Site) -> Iterable[Reason[Any]]:
    platform = site.platform
    stated = platform is not None and (platform.default_w or platform.rest)
    return (StandingContract(site, platform),) if platform is not None and stated else ()


def _voltage_mean(site: Site) -> Iterable[Reason[Any]]:
    return (VoltageMeanReason(site),) if site.connection.mean_bands else ()


MAKERS: tuple[Maker, ...] = (
    hot_spots,
    cable_ratings,
    overhead_ratings,
    seasons,
    _voltage_mean,
    _g100,
    _operator,
    _calendar,
    escalation,
    _standing_contract,
)
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
    return in_force.dump(state.engine.reasons, state.reasons) | {INSTRUCTIONS: dump_book(state.book, state.now_s)}


def restore_memory(
    state: ControlState, document: Mapping[str, Any], gap_s: float, now_s: float
) -> tuple[ControlState, list[Event]]:
    """A state before its first cycle with what :func:`dump_memory` wrote ``gap_s`` ago (NaN: nobody knows how long).

    What cannot be used is told and starts cautiously.
    """
    reasons, events = in_force.restore(state.engine.reasons, document, gap_s, now_s)
    book, told = load_book(state.engine.site, document.get(INSTRUCTIONS), gap_s, now_s)
    return replace(state, reasons=reasons, book=book), [*events, *told]
