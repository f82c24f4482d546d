"""Reading the table of a profile with ``layout: sunspec``: bindings instead of addresses, and the standard chain."""

from __future__ import annotations

import re
from dataclasses import replace

from drivers.profile import PointSpec, Profile
from drivers.profile_fields import Fields, ProfileError
from drivers.sunspec.bind import with_addresses
from drivers.sunspec.chain import standard_chain
from drivers.sunspec.definitions import model

_BINDING = re.compile(r"(\d{1,5})\.([A-Za-z][\w.]*)")


def sunspec_point(name: str, row: Fields) -> PointSpec:
    """One line of ``points``: ``at`` is ``701.W``, or a list of which the first that the device has is taken."""
    choices = tuple(str(item) for item in row.rows("at")) if row.is_list("at") else (row.text("at"),)
    access = row.text("access", "r", one_of=("r", "rw", "w"))
    for choice in choices:
        _check_binding(row, choice, access)
    spec = PointSpec(
        name=name,
        type="uint16",
        unit=row.text("unit", "1"),
        ref="SunSpec " + " or ".join(choices),
        access=access,
        scale=row.number("scale", 1.0),
        low=row.number("low") if row.has("low") else None,
        high=row.number("high") if row.has("high") else None,
        sunspec=choices,
    )
    row.done()
    return spec


def place(profile: Profile, top: Fields) -> Profile:
    """``profile`` with the addresses of the standard chain of the file's ``chain``; every command must fit it."""
    numbers = top.integers("chain")
    try:
        placed = with_addresses(profile, standard_chain(numbers))
    except ValueError as fault:
        raise ProfileError(f"{top.where}.chain: {fault}") from None
    lost = [command.name for command in profile.commands if placed.command(command.name) is None]
    if lost:
        raise ProfileError(f"{top.where}.chain: got {list(numbers)}; expected the models of command {', '.join(lost)}")
    known = {spec.name for spec in profile.points}
    for name in (profile.heartbeat.write_point, profile.heartbeat.watch_point) if profile.heartbeat else ():
        if name not in known:
            raise ProfileError(f"{top.where}.heartbeat: got {name!r}; expected the name of a point")
    return replace(placed, template=profile)


def _check_binding(row: Fields, choice: str, access: str) -> None:
    match = _BINDING.fullmatch(choice)
    definition = model(int(match[1])) if match is not None else None
    point = definition.points.get(match[2]) if definition is not None and match is not None else None
    if point is None:
        raise row.fail("at", "a SunSpec model and point, such as 701.W")
    if "w" in access and not point.writable:
        raise row.fail("access", f"r; SunSpec says that {choice} cannot be written")
