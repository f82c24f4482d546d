"""Where a recomputed record is not the recorded one, in an engineer's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.recording.codec import Tree
from controller.recording.patch import same
from controller.recording.quantities import quantity

# Set points first: they are what the field felt; the same number under ``units`` would only be said again.
_ORDER = ("mode", "setpoints", "feasible", "sacrificed", "events", "limits", "units")
_REPEATED = (("units", "p_set_w"), ("units", "q_set_var"), ("units", "causes"))
_NAMES = {"setpoints": "unit", "units": "unit", "limits": "limit"}
_ID = {"setpoints": "unit", "units": "id", "limits": "id"}
_WORDS = {
    ("setpoints", "p_w"): "set point P",
    ("setpoints", "q_var"): "set point Q",
    ("units", "p_avail_w"): "available",
    ("units", "curtailed_w"): "curtailed",
    ("units", "soc_frac"): "state of charge",
    ("limits", "loading_frac"): "loading",
    ("limits", "worst_frac"): "worst-case loading",
    ("limits", "shadow_eur"): "worth of one per unit of room",
    ("limits", "given_up_w"): "power given up for it",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One value: where it is, and in words what was recorded and what comes out now.

    ``path`` is the place in the record, for example ``("units", "PVA", "p_w")``.
    """

    path: tuple[str, ...]
    text: str


def differences(recorded: Tree, recomputed: Tree) -> tuple[Difference, ...]:
    """All of them, what the field felt first; two NaN are the same."""
    found = [Difference(path, _said(path, old, new)) for path, old, new in _leaves(recorded, recomputed, ())]
    known = [d for d in found if (d.path[0], d.path[-1]) not in _REPEATED or len(d.path) != 3]
    return tuple(sorted(known or found, key=lambda d: _ORDER.index(d.path[0]) if d.path[0] in _ORDER else len(_ORDER)))


def _leaves(old: Tree, new: Tree, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tree, Tree]]:
    """Places where the two are not the same, values in a list named by their id where they have one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _leaves(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for k, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(one, other, (*path, _name(path, one, k)))
    elif not same(old, new):
        yield path or ("record",), old, new


def _name(path: tuple[str, ...], item: Tree, index: int) -> str:
    if len(path) == 1 and path[0] in _ID and isinstance(item, dict):
        return str(item.get(_ID[path[0]], index))
    return str(index)


def _said(path: tuple[str, ...], old: Tree, new: Tree) -> str:
    """``data`` is what an array is written as, which nobody can read."""
    if path[-1] == "data":
        return f"{_place(path[:-1])}: not the same numbers"
    one, other = quantity(path[-1], old), quantity(path[-1], new)
    if one == other:
        one, other = repr(old), repr(new)
    return f"{_place(path)}: recorded {one}, recomputed {other}"


def _place(path: tuple[str, ...]) -> str:
    if path[0] not in _NAMES or len(path) < 3:
        return ".".join(path)
    what = _WORDS.get((path[0], path[-1]), ".".join(path[2:])) if len(path) == 3 else ".".join(path[2:])
    return f"{_NAMES[path[0]]} {path[1]} {what}"
