"""Operators' instructions as JSON lines: strict in what is read, one line back for each.

    {"id": "a1", "counter": 7, "action": "limit", "subject": "export", "value": 4e6, "for_s": 900, "reason": "works"}
    {"id": "a1", "accepted": true, "text": "limit export by ann for 900 s: works"}

    {"issuer": "plan:station", "action": "worth", "subject": "BAT1",
     "worth": {"soc_frac": [0.4, 0.6], "eur_per_mwh": [31.0, -8.0]}, …}

``value`` and ``q_var`` are SI, as in :class:`~controller.domain.instruction.Instruction`. ``issued_utc_s`` may be left
out by a peer on the same machine: it is then the instant of receipt. Who the issuer is, the line does not say; only on
the platform's own socket it names the desk (``issuer``), one of those in the site file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from controller import documents
from controller.documents import DocumentError
from controller.domain.instruction import Action, Instruction
from controller.domain.owner import Owner
from controller.domain.plan import StoredEnergyPrice

LINE_BYTES_MAX = 4096
TEXT_MAX = 200
COUNTER_MAX = 1 << 63
_REQUIRED = ("id", "counter", "action", "subject", "for_s", "reason")
_OPTIONAL = ("value", "q_var", "issued_utc_s", "worth")


def read_instruction(
    line: bytes, issuer: str, received_utc_s: float, desks: Mapping[str, Owner] | None = None
) -> Instruction:
    """The instruction in one line. Raises DocumentError, or UnicodeDecodeError for what is no text.

    With ``desks`` (accounts of a platform and their layers) the line has to name one of them, which is its issuer.
    """
    document = documents.parse(line.decode("utf-8"))
    if not isinstance(document, dict):
        raise DocumentError(f"malformed: {type(document).__name__}; expected an object")
    _check_keys(document, () if desks is None else ("issuer",))
    owner = Owner.OPERATOR
    if desks is not None:
        issuer, owner = _desk(document, desks)
    counter = documents.whole(document, "counter")
    if counter >= COUNTER_MAX:
        raise DocumentError(f"counter is {documents.shown(counter)}; expected a whole number below 2^63")
    return Instruction(
        id=_text(document, "id"),
        issuer=issuer,
        counter=counter,
        issued_utc_s=documents.optional_number(document, "issued_utc_s", received_utc_s),
        lasts_s=documents.number(document, "for_s"),
        action=_action(document),
        subject=_text(document, "subject"),
        value=documents.optional_number(document, "value", math.nan),
        q_var=documents.number(document, "q_var") if "q_var" in document else None,
        reason=_text(document, "reason"),
        owner=owner,
        worth=_worth(document) if "worth" in document else None,
    )


def write_instruction(asked: Instruction) -> bytes:
    """The line that :func:`read_instruction` reads; an operator's without issuer, which the receiver knows."""
    document: dict[str, Any] = {
        "id": asked.id,
        "counter": asked.counter,
        "action": asked.action.value,
        "subject": asked.subject,
        "for_s": asked.lasts_s,
        "reason": asked.reason,
    }
    if not math.isnan(asked.value):
        document["value"] = asked.value
    if asked.q_var is not None:
        document["q_var"] = asked.q_var
    if asked.worth is not None:
        document["worth"] = {"soc_frac": asked.worth.soc_frac, "eur_per_mwh": asked.worth.eur_per_mwh}
    if asked.owner is not Owner.OPERATOR:
        document["issuer"] = asked.issuer
    return json.dumps(document, allow_nan=False).encode() + b"\n"


def write_answer(instruction_id: str, accepted: bool, text: str) -> bytes:
    """One answer as a line."""
    return json.dumps({"id": instruction_id, "accepted": accepted, "text": text}).encode() + b"\n"


def _desk(document: Mapping[str, Any], desks: Mapping[str, Owner]) -> tuple[str, Owner]:
    issuer = _text(document, "issuer")
    if issuer not in desks:
        raise DocumentError(f"issuer is {issuer!r}; expected one of {', '.join(desks)}")
    return issuer, desks[issuer]


def _check_keys(document: Mapping[str, Any], more: tuple[str, ...]) -> None:
    required = (*_REQUIRED, *more)
    unknown = sorted(set(document) - {*required, *_OPTIONAL})
    lacking = [key for key in required if key not in document]
    if unknown or lacking:
        raise DocumentError(f"malformed: unknown {unknown[:5]}, missing {lacking}; expected {', '.join(required)}")


def _action(document: Mapping[str, Any]) -> Action:
    found = _text(document, "action")
    try:
        return Action(found)
    except ValueError:
        raise DocumentError(f"action is {found!r}; expected one of {', '.join(a.value for a in Action)}") from None


def _worth(document: Mapping[str, Any]) -> StoredEnergyPrice:
    """What energy in the subject's storage is worth, EUR/MWh by content."""
    worth = documents.block(document, "worth")
    unknown = sorted(set(worth) - {"soc_frac", "eur_per_mwh"})
    if unknown:
        raise DocumentError(f"malformed: unknown {unknown[:5]} in worth; expected soc_frac and eur_per_mwh")
    contents, worths = (documents.numbers(worth, key, "worth.") for key in ("soc_frac", "eur_per_mwh"))
    return StoredEnergyPrice(_text(document, "subject"), contents, worths)


def _text(document: Mapping[str, Any], key: str) -> str:
    """Printable text of one line."""
    value = documents.text(document, key)
    if not value.strip() or len(value) > TEXT_MAX or not value.isprintable():
        raise DocumentError(f"{key} is {value[:40]!r}; expected 1…{TEXT_MAX} printable characters")
    return value
