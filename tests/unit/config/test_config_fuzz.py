"""Damaged files end in SiteError or in a site, never in anything else."""

from __future__ import annotations

import json

from config_samples import SMALL, FakeCatalogue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.config.finding import SiteError
from controller.config.loader import parse

LINES = SMALL.splitlines()
PIECES = [
    "1e3",
    "010",
    "-1",
    "0",
    ".nan",
    "null",
    "[]",
    "{}",
    "''",
    "*a",
    "&a",
    "!!x",
    "<<",
    "- ",
    ": ",
    "\t",
    "#",
    "{",
    "]",
]


def must_end_well(raw: bytes) -> None:
    refusal: SiteError | None = None
    try:
        parse(raw, "site.yaml", FakeCatalogue())
    except SiteError as error:
        refusal = error
    if refusal is not None:
        assert refusal.findings
        assert all(found.line >= 1 and "\n" not in found.text("site.yaml") for found in refusal.findings)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(SMALL.encode()) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes_never_crash_the_loader(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(SMALL.encode())
    for at, value in changes:
        raw[at] = value
    must_end_well(bytes(raw))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_shuffled_and_replaced_lines_never_crash_the_loader(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["drop", "double", "swap", "value", "indent"]))
        if kind == "drop":
            lines[at] = ""
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "value":
            lines[at] = lines[at].split(":", 1)[0] + ": " + data.draw(st.sampled_from(PIECES))
        else:
            lines[at] = " " * data.draw(st.integers(0, 6)) + lines[at].lstrip()
    must_end_well("\n".join(lines).encode())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "site",
                        "network",
                        "units",
                        "devices",
                        "limits",
                        "control",
                        "buses",
                        "source",
                        "id",
                        "thermal",
                        "feeds",
                        "unit",
                    ]
                ),
                inner,
                max_size=5,
            ),
        ),
        max_leaves=20,
    )
)
def test_any_well_formed_document_of_the_wrong_shape_is_refused(value: object) -> None:
    must_end_well(json.dumps(value).encode())
