"""What an order is about, in words: a lease is named by a number, and renewed under another one every few minutes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simulators.demo.words import minute
from simulators.market.model import Offer

_ACCEPTED = re.compile(r"\w+ \S+ by \w+:(?P<issuer>\S+) for \S+ s: (?P<reason>.*)")
_MARKET = "market order of "
_REFERENCE = re.compile(
    r"[0-9a-f]{8}-(.+)"
)  # which offer message, and the option's reference as its participant has it
_AUCTION = "order for "
_NUMBER = re.compile(r"-\d+$")


class OrderNames:
    """Names by cause. ``offers`` are the scenario's: who sells what, and when."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._offers = offers
        self._names: dict[str, str] = {}

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Events of a record: an instruction says what it is for when it is accepted."""
        for event in events:
            found = _ACCEPTED.fullmatch(str(event.get("text", "")))
            if event["name"] == "instruction.accepted" and found is not None:
                self._names[str(event["subject"])] = self._name(found["issuer"], found["reason"].partition(";")[0])

    def of(self, cause: str) -> str:
        """``layer:instruction`` as an order; anything else as it is."""
        layer, colon, instruction = cause.partition(":")
        if not colon:
            return cause
        return self._names.get(instruction, f"{layer} order of {_NUMBER.sub('', instruction)}")

    def _name(self, issuer: str, reason: str) -> str:
        if reason.startswith(_MARKET):
            references = (_REFERENCE.fullmatch(part) for part in reason.removeprefix(_MARKET).split("+"))
            return self._sold([found[1] for found in references if found is not None]) or reason
        if reason.startswith(_AUCTION):
            return self._sold([reason.removeprefix(_AUCTION)]) or reason
        return f"{reason} ({issuer})"

    def _sold(self, references: Sequence[str]) -> str:
        """``BAT1-night (Battery owner, 21:30–05:30)``: a part of an offer is called like its whole."""
        offers = [o for o in self._offers if any(name == o.id or name.startswith(f"{o.id}-") for name in references)]
        return " and ".join(f"{o.id} ({o.participant}, {minute(o.start)}–{minute(o.end)})" for o in offers)
