"""The operators' instructions in the durable state: what stands outlives a restart, and so does what was used up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller import documents
from controller.control.override import Book, limit_named, unit_named
from controller.documents import DocumentError
from controller.domain.budget import Spent
from controller.domain.instruction import EVERYTHING, INTERFACE, Action, Instruction, Standing
from controller.domain.owner import Owner
from controller.domain.plan import StoredEnergyPrice
from controller.domain.record import Event
from controller.domain.site import Site


def dump_book(book: Book, now_s: float) -> dict[str, Any]:
    """The book as JSON; ends as seconds left."""
    return {
        "counters": dict(book.counters),
        "spent": {issuer: spent.acts for issuer, spent in book.spent.items()},
        "standing": [_dump_one(s, now_s) for s in book.standing],
    }


def _dump_one(standing: Standing, now_s: float) -> dict[str, Any]:
    asked = standing.instruction
    return {
        "id": asked.id,
        "issuer": asked.issuer,
        "owner": asked.owner.value,
        "counter": asked.counter,
        "issued_utc_s": asked.issued_utc_s,
        "lasts_s": asked.lasts_s,
        "action": asked.action.value,
        "subject": asked.subject,
        "value": asked.value if math.isfinite(asked.value) else None,
        "q_var": asked.q_var,
        "reason": asked.reason,
        "left_s": standing.expires_at_s - now_s,
        "held_p_w": list(standing.held_p_w),
        "before_var": standing.before_var,
        "worth": None if asked.worth is None else _dump_worth(asked.worth),
    }


def _dump_worth(worth: StoredEnergyPrice) -> dict[str, list[float]]:
    return {"soc_frac": list(worth.soc_frac), "eur_per_mwh": list(worth.eur_per_mwh)}


def load_book(site: Site, document: object, gap_s: float, now_s: float) -> tuple[Book, list[Event]]:
    """What :func:`dump_book` wrote ``gap_s`` ago, without what has ended since.

    A gap that nobody knows ends nothing: a limit that an operator has set must not end too early. A document that
    cannot be used is told, and nothing stands.
    """
    if document is None:
        return Book(), []
    passed_s = gap_s if gap_s >= 0.0 else 0.0
    try:
        return _load(site, document, passed_s, now_s), []
    except (ValueError, TypeError) as error:
        return Book(), [Event("memory.refused", "instructions", f"{error}; no instruction stands")]


def _load(site: Site, document: object, passed_s: float, now_s: float) -> Book:
    if not isinstance(document, Mapping):
        raise DocumentError(f"instructions are {document!r}; expected an object")
    counters = documents.block(document, "counters")
    used = {str(issuer): documents.whole(counters, issuer) for issuer in counters}
    parts = document.get("standing")
    if not isinstance(parts, list):
        raise DocumentError(f"standing is {parts!r}; expected a list")
    # A plan for a storage that is gone is no reason to forget what operators have said.
    known = [part for part in parts if not (isinstance(part, Mapping) and _plans_nothing(site, part))]
    found = [_load_one(site, part, passed_s, now_s) for part in known]
    spent = documents.block(document, "spent") if "spent" in document else {}
    accounts = {str(issuer): Spent(documents.number(spent, issuer), now_s) for issuer in spent}
    return Book(tuple(s for s in found if s.expires_at_s > now_s), used, accounts)


def _load_one(site: Site, part: Mapping[str, Any], passed_s: float, now_s: float) -> Standing:
    held_w = documents.numbers(part, "held_p_w") if part.get("held_p_w") else ()
    asked = Instruction(
        id=documents.text(part, "id"),
        issuer=documents.text(part, "issuer"),
        counter=documents.whole(part, "counter"),
        issued_utc_s=documents.number(part, "issued_utc_s"),
        lasts_s=documents.number(part, "lasts_s"),
        action=Action(documents.text(part, "action")),
        subject=documents.text(part, "subject"),
        value=math.nan if part.get("value") is None else documents.number(part, "value"),
        q_var=None if part.get("q_var") is None else documents.number(part, "q_var"),
        reason=documents.text(part, "reason"),
        owner=Owner(documents.text(part, "owner")) if "owner" in part else Owner.OPERATOR,
        worth=None if part.get("worth") is None else _load_worth(part),
    )
    _check_still_known(site, asked, held_w)
    left_s = min(documents.number(part, "left_s"), asked.lasts_s) - passed_s
    before_var = None if part.get("before_var") is None else documents.number(part, "before_var")
    return Standing(asked, now_s + left_s, held_w, before_var)


def _plans_nothing(site: Site, part: Mapping[str, Any]) -> bool:
    unit = unit_named(site, str(part.get("subject")))
    return part.get("action") == Action.WORTH.value and (unit is None or unit.storage is None)


def _load_worth(part: Mapping[str, Any]) -> StoredEnergyPrice:
    worth = documents.block(part, "worth")
    contents, worths = (documents.numbers(worth, key, "worth.") for key in ("soc_frac", "eur_per_mwh"))
    return StoredEnergyPrice(documents.text(part, "subject"), contents, worths)


def _check_still_known(site: Site, asked: Instruction, held_w: tuple[float, ...]) -> None:
    """The site file may have changed since. Raises DocumentError."""
    known = asked.subject == EVERYTHING or unit_named(site, asked.subject) or limit_named(site.limits, asked.subject)
    if not known and not (asked.action is Action.REACTIVE and asked.subject == INTERFACE):
        raise DocumentError(f"{asked.id} is about {asked.subject}; the site has nothing of that name")
    if asked.action is Action.HOLD and len(held_w) != len(site.units):
        raise DocumentError(f"{asked.id} holds {len(held_w)} units; the site has {len(site.units)}")
