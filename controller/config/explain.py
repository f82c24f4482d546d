"""What the schema has to say about a value that it refused: unit, range, meaning, a likely spelling."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from controller.config.fields import bounds, range_text, unit_of
from controller.config.finding import Finding, Path, show, spell
from controller.config.yaml_text import Document

_NUMBER_IN_TEXT = re.compile(r"\s*[-+]?[0-9]+([.,][0-9]+)?\s*")


def plain(annotation: Any) -> Any:
    """The annotation without ``| None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation


def item_type(annotation: Any) -> Any:
    """Type of the items of a list (or of the values of a mapping); the annotation itself when it is neither."""
    kind = plain(annotation)
    if get_origin(kind) is tuple:
        return get_args(kind)[0]
    return get_args(kind)[1] if get_origin(kind) is dict else kind


def as_model(annotation: Any) -> type[BaseModel] | None:
    """The block that the annotation stands for, or None."""
    kind = plain(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """Field that the known keys of ``path`` lead to; None for the file itself or an item of a list of blocks."""
    here: Any = model
    field: FieldInfo | None = None
    for part in path:
        block = as_model(here)
        if isinstance(part, int) or block is None:
            here, field = item_type(here), None if as_model(item_type(here)) else field
            continue
        field = block.model_fields[part]
        here = field.annotation
    return field


def expectation(field: FieldInfo) -> str:
    """What the field accepts, in words: ``seconds 0.05…60``, ``one of lifo, merit``, ``a list``."""
    kind = plain(field.annotation)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(arg) for arg in get_args(kind))
    if kind is bool:
        return "true or false"
    words = " ".join(part for part in (unit_of(field), range_text(*bounds(field))) if part)
    if words:
        return f"whole {words}" if kind is int else words
    return "a list" if get_origin(kind) is tuple else "a mapping"


def explain(error: ValidationError, model: type[BaseModel], document: Document) -> list[Finding]:
    """One finding for every mistake that the schema found, except where the text itself could not be read."""
    found = [(tuple(detail["loc"]), detail) for detail in error.errors(include_url=False)]
    return [_finding(path, detail, model, document) for path, detail in found if not _unreadable(path, document)]


def _unreadable(path: Path, document: Document) -> bool:
    return any(path[:length] in document.broken for length in range(len(path) + 1))


def _finding(path: Path, detail: ErrorDetails, model: type[BaseModel], document: Document) -> Finding:
    line = document.line(path)
    if detail["type"] == "extra_forbidden":
        return Finding(spell(path), line, "an unknown key", *_likely(path, model))
    field = field_at(model, path)
    value = "nothing" if detail["type"] == "missing" else show(detail["input"])
    if field is None:
        return Finding(spell(path), line, value, "a mapping" if "model" in detail["type"] else "", detail["msg"])
    hint = _hint(detail["input"], field) if detail["type"] != "missing" else ""
    meaning = (field.description or "").rstrip(".")
    expected = expectation(field) if field_at(model, path[:-1]) is not field else _item_expectation(field)
    return Finding(spell(path), line, value, expected, hint or meaning)


def _item_expectation(field: FieldInfo) -> str:
    """What one entry of a list or mapping of plain values accepts."""
    item = item_type(field.annotation)
    if get_origin(item) is Literal:
        return "one of " + ", ".join(str(arg) for arg in get_args(item))
    details = getattr(item, "__metadata__", ())
    return next((unit_of(info) for info in details if isinstance(info, FieldInfo)), "text")


def _likely(path: Path, model: type[BaseModel]) -> tuple[str, str]:
    keys = _keys_at(path[:-1], model)
    close = difflib.get_close_matches(str(path[-1]), keys, n=1)
    return "one of " + ", ".join(keys), f"did you mean {close[0]}?" if close else ""


def _keys_at(path: Path, model: type[BaseModel]) -> list[str]:
    here: Any = model
    for part in path:
        block = as_model(here)
        here = item_type(here) if isinstance(part, int) or block is None else block.model_fields[part].annotation
    block = as_model(here)
    return list(block.model_fields) if block is not None else []


def _hint(value: object, field: FieldInfo) -> str:
    is_number = plain(field.annotation) in (int, float)
    if isinstance(value, str) and is_number and _NUMBER_IN_TEXT.fullmatch(value):
        return "this is text: remove the quotes" if "," not in value else "write a decimal point, not a comma"
    if isinstance(value, Mapping) and get_origin(plain(field.annotation)) is tuple:
        return "begin every item with '- '"
    return ""
