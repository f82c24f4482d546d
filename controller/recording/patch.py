"""What changed from one tree to the next, and putting it back.

A patch is either a list of one item, the new value, or an object that leads to the places below which something
changed: ``{"units": {"3": {"p_w": [-812.5]}}}``. Lists are followed by index while their length stays.
"""

from __future__ import annotations

from typing import Any

from controller.documents import shown
from controller.recording.codec import CodecError, Tree

Patch = list[Any] | dict[str, Any]


def difference(before: Tree, now: Tree) -> Patch | None:
    """What turns ``before`` into ``now``; None when nothing has to change."""
    if isinstance(now, dict) and isinstance(before, dict) and before.keys() == now.keys():
        changed = {key: patch for key, item in now.items() if (patch := difference(before[key], item)) is not None}
        return changed or None
    if isinstance(now, list) and isinstance(before, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        changed = {str(k): patch for k, (old, new) in pairs if (patch := difference(old, new)) is not None}
        return changed or None
    return None if same(before, now) else [now]


def same(one: Tree, other: Tree) -> bool:
    """Whether two leaves are the same to the last bit: 1 is not 1.0 and not True, 0.0 is not −0.0."""
    return type(one) is type(other) and one == other and (one != 0.0 or repr(one) == repr(other))


def patched(before: Tree, patch: Patch | None) -> Tree:
    """``before`` with ``patch`` put in; ``before`` stays as it is. Raises CodecError when it does not fit."""
    if patch is None:
        return before
    if isinstance(patch, list):
        if len(patch) != 1:
            raise CodecError(f"a patch lists {len(patch)} values; expected one")
        return patch[0]
    if not isinstance(patch, dict):
        raise CodecError(f"a patch is {shown(patch)}; expected a list of one value, or an object")
    try:
        if isinstance(before, dict):
            return before | {key: patched(before[key], inner) for key, inner in patch.items()}
        if isinstance(before, list):
            out = list(before)
            for key, inner in patch.items():
                out[int(key)] = patched(before[int(key)], inner)
            return out
    except (KeyError, IndexError, ValueError) as error:
        raise CodecError(f"a patch does not fit what was before it: {error}") from error
    raise CodecError(f"a patch leads below {shown(before)}; expected an object or a list there")
