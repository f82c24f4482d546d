"""Orders and instructions as they stood: one line from the first word to the last renewal, not one per renewal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

RELEASE = "release "
_SAID = re.compile(r"(?P<what>\S+ (?P<subject>\S+) by (?P<issuer>\S+)) for (?P<lasts>[\d.]+) s: (?P<why>.*)", re.DOTALL)
_MARKET = "market order of "
_OFFER = re.compile(r"\b[0-9a-f]{8}-")  # which message of its participant an option came with
_LATE_S = 60.0
"""A renewal so long after the end is one still."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was ordered, from when until when (UTC s), and how often it was said again."""

    from_utc_s: float
    to_utc_s: float
    text: str
    renewed: int = 0

    @property
    def words(self) -> str:
        """With the number of renewals."""
        if not self.renewed:
            return self.text
        return f"{self.text}, renewed {'once' if self.renewed == 1 else f'{self.renewed} times'}"


def standing(orders: Sequence[tuple[float, str]]) -> list[Standing]:
    """From what was accepted, in order of time; a release is told by the end of what it ends."""
    out: list[Standing] = []
    last: dict[tuple[str, str], int] = {}
    for at_s, said in orders:
        found = _SAID.fullmatch(said)
        if found is None:
            out.append(Standing(at_s, at_s, said))
            continue
        key = found["subject"], found["issuer"]
        before = out[last[key]] if key in last else None
        if before is not None and at_s < before.to_utc_s:
            out[last[key]] = before = replace(before, to_utc_s=at_s)
        if said.startswith(RELEASE):
            continue
        now = Standing(at_s, at_s + float(found["lasts"]), f"{found['what']}: {_reason(found['why'])}")
        if before is not None and before.text == now.text and at_s <= before.to_utc_s + _LATE_S:
            out[last[key]] = replace(before, to_utc_s=now.to_utc_s, renewed=before.renewed + 1)
        else:
            last[key] = len(out)
            out.append(now)
    return out


def _reason(why: str) -> str:
    """``market order of BAT1-night``: every option of an offer once, by its participant's own name."""
    before, marked, options = why.partition(_MARKET)
    if not marked or before:
        return why
    return _MARKET + "+".join(dict.fromkeys(_OFFER.sub("", options).split("+")))
