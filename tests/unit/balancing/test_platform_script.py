"""What the desks of the platform stand-in do is written down, and a mistake in it is named."""

from __future__ import annotations

import pytest

from simulators.platform.command import read_script

POST = "{program: P, type: EXPORT_CAPACITY_LIMIT, values: [1], as: e}"


def test_acts_are_played_by_time() -> None:
    found = read_script(f"- {{after_s: 9, delete: e}}\n- {{after_s: 1, post: {POST}}}")
    assert [act["after_s"] for act in found] == [1, 9]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{a: 1}", "expected a list of acts"),
        ("- {after_s: 1}", "act 1 is"),
        ("- {after_s: soon, delete: e}", "expected after_s"),
        ("- {after_s: 1, delete: e, outage_s: 3}", "one of post"),
        ("- {after_s: 1, misbehave: gently}", "expected one of late"),
        ("- [", "script:"),
    ],
)
def test_a_mistake_in_a_script_is_named(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_script(text)
