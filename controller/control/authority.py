"""What the desks of the platform may do in the control process, whatever the station process has let through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from controller.domain.budget import Spent, spend
from controller.domain.instruction import EVERYTHING, Action, Instruction, Standing
from controller.domain.owner import SERVICES, Owner
from controller.domain.platform import DIRECTIONS
from controller.domain.site import Site

ACTIONS = (Action.LIMIT, Action.OVERRIDE, Action.RESERVE, Action.REACTIVE, Action.RELEASE)
"""What a platform may ask for at all."""
PLANS = (Action.WORTH, Action.RELEASE)
"""What the station's look-ahead may say at all."""

NOT_OF_OPERATORS = {
    Action.WORTH: "no authority: worth is the word of the station's look-ahead",
    Action.RESERVE: "no authority: a reserve is the word of a desk that has bought it",
}


def beyond_authority(site: Site, standing: Sequence[Standing], asked: Instruction) -> str:
    """Why a platform's instruction is more than its desk may ask for; empty for an operator's."""
    if asked.owner is Owner.OPERATOR:
        return NOT_OF_OPERATORS.get(asked.action, "")
    issuer = site.issuer(asked.issuer)
    if issuer is None or asked.owner not in (*SERVICES, Owner.PLAN) or asked.owner is not issuer.service:
        return f"no authority: {asked.issuer} is no issuer of the site file's platform, market or planning"
    if asked.action not in (PLANS if asked.owner is Owner.PLAN else ACTIONS):
        return f"no authority: {asked.action.value} is not for a {'plan' if asked.owner is Owner.PLAN else 'platform'}"
    if asked.lasts_s > issuer.lasts_s_max:
        return f"out of range: lasts {asked.lasts_s:g} s; expected at most {issuer.lasts_s_max:g} of {asked.issuer}"
    if asked.action is Action.RELEASE:
        own = {s.instruction.id for s in standing if s.instruction.issuer == asked.issuer}
        known = asked.subject in (EVERYTHING, *issuer.subjects, *own)
        return "" if known else f"no authority: {asked.subject} is nothing that {asked.issuer} commands"
    if asked.subject not in issuer.subjects:
        return f"no authority: {asked.subject}; {asked.issuer} commands {', '.join(sorted(issuer.subjects))}"
    if asked.subject not in DIRECTIONS and abs(asked.value) > issuer.w_max:
        return f"out of range: {asked.value:g} W; {asked.issuer} may ask for at most {issuer.w_max:g}"
    if asked.q_var is not None and abs(asked.q_var) > issuer.var_max:
        return f"out of range: {asked.q_var:g} var; {asked.issuer} may ask for at most {issuer.var_max:g}"
    return ""


def pay(
    site: Site, spent: Mapping[str, Spent], standing: Sequence[Standing], asked: Instruction, now_s: float
) -> Mapping[str, Spent] | None:
    """The accounts after one more write of the issuer; None when it has none left.

    Free for operators, for whoever ends what it has asked for, and when a lease is only renewed: nothing changes then.
    """
    issuer = site.issuer(asked.issuer)
    if issuer is None or asked.action is Action.RELEASE or any(_same(s.instruction, asked) for s in standing):
        return spent
    account = spend(issuer.writes, spent.get(asked.issuer), now_s)
    return None if account is None else {**spent, asked.issuer: account}


def _same(old: Instruction, asked: Instruction) -> bool:
    same_value = old.value == asked.value or (math.isnan(old.value) and math.isnan(asked.value))
    return old.key == asked.key and same_value and old.q_var == asked.q_var and old.worth == asked.worth
