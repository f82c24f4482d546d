"""Frozen values to JSON trees and back, exactly: dataclasses, enums, tuples, mappings, sets, dates, arrays, floats.

Nothing in a file decides what is built: the reader names the type that it expects, and only values of the annotated
types come out. A float keeps every bit that can matter (JSON prints the shortest text that reads back as the same
number; what is not finite is spelled out), an array its bytes and whether its rows or its columns lie together, since
a matrix product may round differently when they do not.
"""

from __future__ import annotations

import base64
import binascii
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from controller.domain.deferred import Deferred

Tree = Any
"""What JSON can hold: None, truth values, numbers, text, lists, and objects with text keys."""

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_DTYPES = {"f8": np.float64, "i8": np.int64, "i4": np.int32, "b1": np.bool_}
_TEXTUAL = (datetime, date, time)
# From numpy 2.5 on `NDArray[...]` is an alias of its own and not a parametrised `ndarray`.
_ARRAYS = (np.ndarray, NDArray)


class CodecError(ValueError):
    """A value or a file that does not fit the expected type; says where."""


def to_tree(value: Any, leave_out: tuple[type, ...] = ()) -> Tree:
    """``value`` as a tree; instances of ``leave_out`` become None. Raises CodecError for a type it does not know."""
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _spelled(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, leave_out):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_tree(getattr(value, name), leave_out) for name in _field_names(type(value))}
    return _to_tree_of_many(value, leave_out)


def _to_tree_of_many(value: Any, leave_out: tuple[type, ...]) -> Tree:
    if isinstance(value, tuple | list | Deferred):
        return [to_tree(item, leave_out) for item in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: to_tree(item, leave_out) for key, item in value.items()}
        return [[to_tree(key, leave_out), to_tree(item, leave_out)] for key, item in value.items()]
    if isinstance(value, frozenset | set):
        return sorted((to_tree(item, leave_out) for item in value), key=repr)
    if isinstance(value, np.ndarray):
        return _array_to_tree(value)
    if isinstance(value, np.generic):
        return to_tree(value.item(), leave_out)
    if isinstance(value, _TEXTUAL):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise CodecError(f"a {type(value).__name__} cannot be recorded; expected frozen data, numbers or text")


def from_tree(expected: Any, tree: Tree, given: Mapping[type, Any] | None = None, where: str = "") -> Any:
    """The value of type ``expected`` that ``tree`` describes.

    ``given`` supplies the values that were left out, by type. Raises CodecError that names the place.
    """
    given = given or {}
    if expected in given:
        return given[expected]
    if expected in (None, type(None)):
        return _checked(tree is None, None, tree, "nothing", where)
    origin = typing.get_origin(expected)
    if origin is not None:
        return _from_generic(origin, expected, tree, given, where)
    if expected in (bool, str):
        return _checked(isinstance(tree, expected), tree, tree, expected.__name__, where)
    if expected is int:
        return _checked(type(tree) is int, tree, tree, "a whole number", where)
    if expected is float:
        return _float(tree, where)
    return _from_class(expected, tree, given, where)


def _from_class(expected: Any, tree: Tree, given: Mapping[type, Any], where: str) -> Any:
    if not isinstance(expected, type):
        raise CodecError(f"{where or 'value'}: {expected!r} cannot be read from a recording")
    if is_dataclass(expected):
        return _from_fields(expected, tree, given, where)
    try:
        if issubclass(expected, Enum):
            return expected(tree)
        if issubclass(expected, _TEXTUAL):
            return expected.fromisoformat(tree)
        if issubclass(expected, timedelta):
            return timedelta(seconds=tree)
        if issubclass(expected, np.ndarray):
            return _array_from_tree(tree)
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise CodecError(f"{where or 'value'}: {error}; expected {expected.__name__}") from error
    raise CodecError(f"{where or 'value'}: {expected.__name__} cannot be read from a recording")


def _from_generic(origin: Any, expected: Any, tree: Tree, given: Mapping[type, Any], where: str) -> Any:
    arguments = typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        return _from_union(arguments, tree, given, where)
    if origin in _ARRAYS:
        return _from_class(np.ndarray, tree, given, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, item = arguments
        entries = tree.items() if isinstance(tree, dict) else _list(tree, where)
        return {from_tree(key, k, given, where): from_tree(item, v, given, f"{where}[{k!r}]") for k, v in entries}
    items = _list(tree, where)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        _checked(len(items) == len(arguments), None, tree, f"{len(arguments)} items", where)
        pairs = zip(arguments, items, strict=True)
        return tuple(from_tree(kind, item, given, f"{where}[{k}]") for k, (kind, item) in enumerate(pairs))
    made = [from_tree(arguments[0], item, given, f"{where}[{k}]") for k, item in enumerate(items)]
    return made if origin is list else (tuple(made) if _is_sequence(origin) else frozenset(made))


def _from_union(choices: tuple[Any, ...], tree: Tree, given: Mapping[type, Any], where: str) -> Any:
    """The first choice that the tree fits; a missing value is only ever None."""
    if tree is None and type(None) in choices and not any(choice in given for choice in choices):
        return None
    complaints = []
    for choice in choices:
        try:
            return from_tree(choice, tree, given, where)
        except CodecError as error:
            complaints.append(str(error))
    raise CodecError(" or ".join(complaints))


def _from_fields(expected: type, tree: Tree, given: Mapping[type, Any], where: str) -> Any:
    if not isinstance(tree, dict):
        raise CodecError(f"{where or 'value'} is {_shortened(tree)}; expected the fields of {expected.__name__}")
    hints, known = _hints(expected), _field_names(expected)
    unknown = sorted(set(tree) - set(known))
    if unknown:
        raise CodecError(f"{where or expected.__name__} has {', '.join(unknown)}; this version does not know them")
    absent = [f.name for f in fields(expected) if f.name not in tree and _required(f)]
    if absent:
        raise CodecError(f"{where or expected.__name__} lacks {', '.join(absent)}; expected by this version")
    prefix = f"{where}." if where else ""
    present = [name for name in known if name in tree]
    return expected(**{name: from_tree(hints[name], tree[name], given, prefix + name) for name in present})


def _required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _is_sequence(origin: Any) -> bool:
    return isinstance(origin, type) and not issubclass(origin, frozenset | set)


def _spelled(number: float) -> str:
    return "nan" if math.isnan(number) else ("inf" if number > 0.0 else "-inf")


def _float(tree: Tree, where: str) -> float:
    if isinstance(tree, str) and tree in _NOT_FINITE:
        return _NOT_FINITE[tree]
    number = isinstance(tree, int | float) and not isinstance(tree, bool)
    try:
        return float(_checked(number, tree, tree, "a number", where))
    except OverflowError as error:
        raise CodecError(
            f"{where or 'value'} is {_shortened(tree)}; expected a number that a float can hold"
        ) from error


def _list(tree: Tree, where: str) -> list[Any]:
    out: list[Any] = _checked(isinstance(tree, list), tree, tree, "a list", where)
    return out


def _checked(fits: bool, value: Any, tree: Tree, wanted: str, where: str) -> Any:
    if not fits:
        raise CodecError(f"{where or 'value'} is {_shortened(tree)}; expected {wanted}")
    return value


def _shortened(tree: Tree) -> str:
    text = repr(tree)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _array_to_tree(array: NDArray[Any]) -> Tree:
    kind = array.dtype.str[1:]
    if kind not in _DTYPES:
        raise CodecError(f"an array of {array.dtype} cannot be recorded; expected one of {', '.join(_DTYPES)}")
    order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    data = array.astype(np.dtype(_DTYPES[kind]).newbyteorder("<"), copy=False).tobytes(order=order)
    return {"dtype": kind, "shape": list(array.shape), "order": order, "data": base64.b64encode(data).decode()}


def _array_from_tree(tree: Tree) -> NDArray[Any]:
    kind = np.dtype(_DTYPES[tree["dtype"]]).newbyteorder("<")
    flat: NDArray[Any] = np.frombuffer(base64.b64decode(tree["data"], validate=True), dtype=kind).astype(
        _DTYPES[tree["dtype"]]
    )
    return flat.reshape([int(n) for n in tree["shape"]], order="F" if tree["order"] == "F" else "C")
