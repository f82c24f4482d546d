"""What the control process was told, and how it answered: on the disk before it is said, so that no order is forgotten.

A station that is killed between an order and its answer says the order again under a new counter, and takes back what
the platform has withdrawn meanwhile. About what no record says anything it takes back what may be in force: the disk
may have been full in an earlier life.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller import documents
from controller.balancing.admission import Now
from controller.balancing.command import FOREVER
from controller.balancing.ledger import Entry, Ledger
from controller.balancing.orders import Desks, Key, Order, Told, Use, due, next_counter
from controller.documents import DocumentError
from controller.domain.instruction import Action, Instruction, last_counter

FORGOTTEN = "what an earlier life may have ordered"
"""In place of a command, where no record says which."""
NOT_YET_S = -FOREVER
"""When an order of another life was said, as far as this one knows: it is said again at once."""


class OrderBook:
    """One site's; used by one thread only. Raises sqlite3.Error when the disk refuses; what it knows is right even so.

    A record that makes no sense is refused whole: nothing was told then, and ``trouble`` says why.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._counter = 0
        self._told: dict[Key, Told] = {}
        self._begun = False
        self.trouble = ""
        text = ledger.orders()
        try:
            self._counter, self._told = (0, {}) if text is None else load_orders(text)
        except (ValueError, TypeError, KeyError) as error:
            self.trouble = f"the record of orders makes no sense: {error!r}; nothing is known to be in force"

    def due(self, desks: Desks, orders: Mapping[Key, Order], now: Now) -> list[tuple[Order, Instruction]]:
        """What has to be said now, and the order that each is about; nothing while nobody knows the time of day."""
        if not math.isfinite(now.utc_s):
            return []
        if not self._begun:
            self._begun, self._told = True, forgotten(desks) | self._told
        # A desk that the site file no longer names can end nothing there; what it asked for ends by itself.
        known = {key: one for key, one in self._told.items() if desks.issuer(one.order.account) is not None}
        self._told = {key: one for key, one in known.items() if key in orders or one.stands}
        found = due(desks, orders, self._told, now, next_counter(self._counter, now))
        return [(orders[key] if key in orders else self._told[key].order, said) for key, said in found]

    def told(self) -> list[Order]:
        """What may be in force at the control process, as far as anything is known of it."""
        return [one.order for one in self._told.values() if one.stands and one.order.command != FORGOTTEN]

    def saying(self, order: Order, said: Instruction, now: Now) -> None:
        """This goes out next; from now on it may be in force."""
        self._counter = max(self._counter, said.counter)
        was = self._told.get(order.key)
        if said.action is not Action.RELEASE:
            self._told[order.key] = Told(order, said.id, now.now_s, None, was is not None and was.stands)
        elif was is not None:
            self._told[order.key] = replace(was, freed_at_s=now.now_s)
        self._write([])

    def answered(self, order: Order, said: Instruction, accepted: bool | None, text: str, now: Now) -> None:
        """How the control process took it; None when nobody knows.

        Where it knows of a higher counter than this record (whose disk was lost, say), the next one is above that.
        """
        used = None if accepted else last_counter(text)
        self._counter = max(self._counter, used or 0)
        if said.action is not Action.RELEASE:
            self._told[order.key] = replace(self._told[order.key], accepted=accepted)
        elif accepted:
            self._told.pop(order.key, None)
        utc_s = now.utc_s if math.isfinite(now.utc_s) else None
        verdict = "ordered" if accepted else "not ordered"
        self._write([Entry(utc_s, said.issuer, order.command, "", verdict, text, said.id)])

    def _write(self, entries: list[Entry]) -> None:
        self._ledger.write_orders(dump_orders(self._counter, self._told), entries)


def forgotten(desks: Desks) -> dict[Key, Told]:
    """Something unknown may be in force about everything that a desk may command."""
    keys = [(issuer.account, subject) for issuer in desks.issuers for subject in sorted(issuer.subjects)]
    return {key: Told(Order(*key, 0.0, FOREVER, FORGOTTEN, ""), "", NOT_YET_S, None, True) for key in keys}


def dump_orders(counter: int, told: Mapping[Key, Told]) -> str:
    """One line of JSON; an end that is none as null."""
    document = {"counter": counter, "told": [_dump_one(one) for one in told.values()]}
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def load_orders(text: str) -> tuple[int, dict[Key, Told]]:
    """What :func:`dump_orders` wrote. Raises DocumentError, or another ValueError for what is no JSON."""
    document = json.loads(text)
    if not isinstance(document, dict):
        raise DocumentError(f"the record of orders is {type(document).__name__}; expected an object")
    told = [_load_one(entry) for entry in document["told"]]
    return documents.whole(document, "counter"), {one.order.key: one for one in told}


def _dump_one(one: Told) -> dict[str, Any]:
    order = one.order
    return {
        "account": order.account,
        "subject": order.subject,
        "w": order.w,
        "until_utc_s": order.until_utc_s if math.isfinite(order.until_utc_s) else None,
        "command": order.command,
        "source": order.source,
        "use": order.use.value,
        "id": one.id,
        "accepted": one.accepted,
        "earlier": one.earlier,
    }


def _load_one(entry: Mapping[str, Any]) -> Told:
    until_utc_s = FOREVER if entry["until_utc_s"] is None else documents.number(entry, "until_utc_s")
    order = Order(
        documents.text(entry, "account"),
        documents.text(entry, "subject"),
        documents.number(entry, "w"),
        until_utc_s,
        documents.text(entry, "command"),
        documents.text(entry, "source"),
        use=_use(entry),
    )
    accepted = entry["accepted"]
    if not isinstance(entry["earlier"], bool) or not (accepted is None or isinstance(accepted, bool)):
        raise DocumentError(f"earlier is {entry['earlier']!r}, accepted {accepted!r}; expected true or false")
    return Told(order, documents.text(entry, "id"), NOT_YET_S, accepted, entry["earlier"])


def _use(entry: Mapping[str, Any]) -> Use:
    """A record of an earlier version says ``at_most`` (true or false), or nothing. Raises DocumentError."""
    if "use" not in entry:
        return Use.CAP if entry.get("at_most") is True else Use.TARGET
    found = documents.text(entry, "use")
    if found not in {use.value for use in Use}:
        raise DocumentError(f"use is {found!r}; expected one of {', '.join(use.value for use in Use)}")
    return Use(found)
