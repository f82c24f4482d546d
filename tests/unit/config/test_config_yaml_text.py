"""What the strict YAML reader makes of text, hostile text included."""

from __future__ import annotations

import time

import pytest

from controller.config.yaml_text import BYTES_MAX, FINDINGS_MAX, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("0.5", 0.5),
        ("-1.25", -1.25),
        ("2.5e+3", 2500.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("2023-03-30", "2023-03-30"),
        ("10.0.0.1:502", "10.0.0.1:502"),
        ("opc.tcp://h:4840/x", "opc.tcp://h:4840/x"),
        ("'010'", "010"),
        ('"yes"', "yes"),
        ("-branch.F4.p_w", "-branch.F4.p_w"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_plain_value_is_what_every_reader_takes_it_for(text: str, value: object) -> None:
    document = read_yaml(f"key: {text}\n".encode())
    assert document.findings == []
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


def test_lists_are_frozen_and_every_key_knows_its_line() -> None:
    document = read_yaml(b"a:\n  - b: 1\n    c: 2\n  -\n    b: 3\n")
    assert document.data == {"a": ({"b": 1, "c": 2}, {"b": 3})}
    assert document.lines[("a", 0, "c")] == 3
    assert document.lines[("a", 1, "b")] == 5
    assert document.line(("a", 1, "missing", "deeper")) == document.lines[("a", 1)]


def test_of_a_key_given_twice_the_first_stays_and_both_lines_are_named() -> None:
    document = read_yaml(b"limit_kw: 10\nlimit_kw: 99\n")
    assert document.data == {"limit_kw": 10}
    assert [(f.line, f.path, f.message) for f in document.findings] == [(2, "limit_kw", "first in line 1")]


def test_an_alias_bomb_is_refused_without_being_unfolded() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    started_s = time.thread_time()
    document = read_yaml("\n".join(rows).encode())
    assert time.thread_time() - started_s < 0.5
    assert any("alias" in finding.value for finding in document.findings)
    assert len(document.findings) <= FINDINGS_MAX


@pytest.mark.parametrize("raw", [b"[" * 200_000, b"{a: " * 100_000, b"- " * 200_000, b"? " * 100_000, b"a:\n" * 90_000])
def test_depth_and_length_cost_little_and_end_in_a_finding(raw: bytes) -> None:
    started_s = time.thread_time()
    document = read_yaml(raw)
    assert time.thread_time() - started_s < 2.0
    assert document.findings
    assert len(document.findings) <= FINDINGS_MAX


@pytest.mark.parametrize(
    ("raw", "line", "word"),
    [
        (b"a: 1\nb: \xff\n", 2, "0xff"),
        (b"", 1, "nothing"),
        (b"# only a comment\n", 1, "nothing"),
        (b"a: \x00", 1, "not YAML"),
        (b"a: 1\nb: c: d\n", 2, "not YAML"),
        (b"a: 'open\n", 2, "not YAML"),
        (b"a: " + b"x" * BYTES_MAX, 1, "at most 1000000 bytes"),
        (b"%YAML 9.9\n---\na: 1\n", 1, "not YAML"),
    ],
)
def test_text_that_is_no_document_says_where(raw: bytes, line: int, word: str) -> None:
    document = read_yaml(raw)
    (finding,) = document.findings
    assert finding.line == line
    assert word in finding.text("site.yaml")


def test_a_key_made_to_disturb_a_terminal_is_quoted_on_one_short_line() -> None:
    document = read_yaml(b'"a\\nb\\e[2J' + b"x" * 500 + b'": 010\n')
    text = document.findings[0].text("site.yaml")
    assert text.isprintable()
    assert len(text) < 300


def test_a_byte_order_mark_and_windows_line_ends_are_nobodys_mistake() -> None:
    document = read_yaml("\ufeffa: 1\r\nb: 2\r\n".encode())
    assert (document.data, document.findings) == ({"a": 1, "b": 2}, [])
