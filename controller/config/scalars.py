"""What a plain YAML scalar means; anything that YAML 1.1 and 1.2 read differently is refused.

YAML 1.1 (PyYAML) reads ``010`` as 8, ``1:30`` as 90, ``yes`` as true and ``1e3`` as text; YAML 1.2 reads 10, text, text
and 1000. A limit must not depend on who reads it.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "false": False}
_LOOSE_TRUTHS = frozenset({"yes", "no", "on", "off", "true", "false"})
_DIGITS_MAX = 40

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.?(nan|inf|infinity)", re.IGNORECASE)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?")
_BASED = re.compile(r"[-+]?0[xob][0-9a-fA-F_]+")
_LIKE_A_NUMBER = re.compile(r"[-+]?(\.[0-9]|[0-9])[0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?")


class AmbiguousScalar(ValueError):
    """The text is not read the same way by every YAML reader; the message says how to write it."""


def read_scalar(text: str) -> Scalar:
    """Value of an unquoted scalar: null, true/false, a decimal number, or the text itself.

    Raises :class:`AmbiguousScalar` for everything that another YAML reader may take for something else.
    """
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    _refuse_ambiguous(text)
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    if _LIKE_A_NUMBER.fullmatch(text):
        raise AmbiguousScalar("some readers take this for text; write a plain decimal number such as 1000 or 0.5")
    return text


def _refuse_ambiguous(text: str) -> None:
    if text.lower() in _LOOSE_TRUTHS:
        raise AmbiguousScalar("write true or false; put it in quotes if it is meant as text")
    if _NOT_A_NUMBER.fullmatch(text):
        raise AmbiguousScalar("not a finite number; a limit cannot be unknown or without end")
    if _SEXAGESIMAL.fullmatch(text):
        raise AmbiguousScalar("YAML 1.1 reads this in base 60; write a decimal number, or quote it if it is text")
    if _LEADING_ZERO.fullmatch(text):
        raise AmbiguousScalar(
            "a leading zero makes some readers take this for octal; drop it, or quote it if it is text"
        )
    if _BASED.fullmatch(text):
        raise AmbiguousScalar("write a decimal number")
    if len(text) > _DIGITS_MAX and _LIKE_A_NUMBER.fullmatch(text):
        raise AmbiguousScalar(f"more than {_DIGITS_MAX} digits")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise AmbiguousScalar("too large for a number")
    return value
