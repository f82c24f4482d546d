"""Building blocks of the schema: a strict base model, and fields that know their unit, range and meaning."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

REQUIRED = ...
_UNSHOWN = r"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
"""Line breaks, escape sequences and turns of the direction of writing: what is shown must be what stands there."""
LINE, LINE_OR_NOTHING = rf"^[^{_UNSHOWN}]+$", rf"^[^{_UNSHOWN}]*$"


def range_text(low: float | None, high: float | None) -> str:
    """``0.05…60``; empty for what is not a number."""
    return "" if low is None or high is None else f"{low:.15g}…{high:.15g}"


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Lower and upper bound of a number field, where it has them."""
    low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    return low, high


def unit_of(field: FieldInfo) -> str:
    """Unit of a number field; for text what it must look like; empty when it has neither."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _finish(schema: dict[str, Any]) -> None:
    """Let an editor's hover text say the unit and the range too, and drop the titles that pydantic makes up."""
    schema.pop("title", None)
    for entry in schema.get("properties", {}).values():
        entry.pop("title", None)
        about = " ".join(part for part in (entry.pop("unit", ""), entry.pop("span", "")) if part)
        if about:
            entry["description"] = f"{entry['description']} [{about}]"


class Strict(BaseModel):
    """Unknown keys, text for numbers, numbers for truth values, NaN and infinity are all refused."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=_finish, validate_default=True
    )


def number(unit: str, low: float, high: float, meaning: str, default: Any = REQUIRED) -> Any:
    """A number of ``unit`` from ``low`` to ``high``, both included; a default of None means optional."""
    span = range_text(low, high)
    return Field(default, ge=low, le=high, description=meaning, json_schema_extra={"unit": unit, "span": span})


def text(looks: str, pattern: str, meaning: str, default: Any = REQUIRED, longest: int = 200) -> Any:
    """A line of text that ``looks`` like something."""
    return Field(default, pattern=pattern, max_length=longest, description=meaning, json_schema_extra={"unit": looks})


def about(meaning: str, default: Any = REQUIRED) -> Any:
    """A choice, a truth value, a block or a list."""
    return Field(default, description=meaning)


def series(looks: str, longest: int, meaning: str) -> Any:
    """A list of plain values, none by default."""
    return Field((), max_length=longest, description=meaning, json_schema_extra={"unit": looks})


_NAME_LOOKS = "a name: a letter, then letters, digits, _ or -, at most 40"
Name = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$", json_schema_extra={"unit": _NAME_LOOKS}, max_length=40)
]


def name(meaning: str, default: Any = REQUIRED) -> Any:
    """The id of something, or a reference to one. Ids hold no dot, because points do (``bus.BB.u_v``)."""
    return text(_NAME_LOOKS, r"^[A-Za-z][A-Za-z0-9_-]{0,39}$", meaning, default, longest=40)


def names(meaning: str, default: Any = REQUIRED) -> Any:
    """A list of ids, at least one."""
    return Field(
        default, min_length=1, max_length=500, description=meaning, json_schema_extra={"unit": "a list of ids"}
    )
