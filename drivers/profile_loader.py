"""From a table in ``drivers/profiles`` to a checked :class:`~drivers.profile.Profile`.

One line per point. ``defaults`` of the file apply to every point that does not say otherwise; ``not_implemented:
sunspec`` gives every integer point without ``missing`` the SunSpec sentinel of its type. A profile has no code.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import cache
from importlib.resources import files

import yaml

from drivers.profile import CommandSpec, DerivedSpec, FailBehaviour, Heartbeat, PointSpec, Profile, ReadRules
from drivers.profile_checks import SUNSPEC_NOT_IMPLEMENTED, TYPES, check_profile
from drivers.profile_fields import Fields, ProfileError
from drivers.sunspec.placing import place, sunspec_point

NAME = re.compile(r"[a-z][a-z0-9_]*")
TABLES = ("holding", "input")
WORD_ORDERS = ("high_first", "low_first")
OPS = ("max", "min", "mean", "sum", "mean_ln_to_ll")
LAYOUTS = ("fixed", "sunspec")
POINT_DEFAULTS = ("type", "unit", "table", "word_order", "ref", "access")


class _StrictLoader(yaml.SafeLoader):
    """Plain data only; a key given twice and an alias are refused instead of silently resolved."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ProfileError(f"line {mark.line + 1}: got an alias; expected the value itself")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise ProfileError(f"line {key_node.start_mark.line + 1}: got {key!r} as a key; expected a text")
            if key in seen:
                raise ProfileError(f"line {key_node.start_mark.line + 1}: {key!r} is given twice; expected it once")
            seen.add(key)
        return super().construct_mapping(node, deep)


def profile_ids() -> tuple[str, ...]:
    """Ids of all profiles that come with the package, sorted."""
    folder = files("drivers") / "profiles"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


@cache
def load_profile(profile_id: str) -> Profile:
    """The profile called ``profile_id``; :class:`ProfileError` when there is none or its table is refused."""
    known = profile_ids()
    if profile_id not in known:
        raise ProfileError(f"profile {profile_id!r} is unknown; expected one of {', '.join(known)}")
    name = f"drivers/profiles/{profile_id}.yaml"
    profile = parse_profile((files("drivers") / "profiles" / f"{profile_id}.yaml").read_text("utf-8"), name)
    if profile.id != profile_id:
        raise ProfileError(f"{name}: id: got {profile.id!r}; expected {profile_id!r}, the name of the file")
    return profile


def parse_profile(text: str, origin: str) -> Profile:
    """The profile written in ``text``; ``origin`` is the file name used in errors.

    Raises :class:`ProfileError` for the first fault, naming file, place, value and expectation.
    """
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except ProfileError as fault:
        raise ProfileError(f"{origin}: {fault}") from None
    except (yaml.YAMLError, ValueError) as fault:  # ValueError: a date or a number that cannot be
        raise ProfileError(f"{origin}: not YAML: {fault}") from fault
    except RecursionError:
        raise ProfileError(f"{origin}: got lists and mappings nested too deep; expected five levels") from None
    top = Fields(data, origin)
    profile = _profile(top)
    if top.text("layout", "fixed", one_of=LAYOUTS) == "sunspec":
        profile = place(profile, top)
    top.done()
    check_profile(profile, origin)
    return profile


def _profile(top: Fields) -> Profile:
    protocol = top.text("protocol", one_of=("modbus", "opcua"))
    return Profile(
        id=_name(top, "id"),
        kind=_name(top, "kind"),
        title=top.text("title"),
        protocol=protocol,
        source=top.text("source"),
        fails=FailBehaviour(top.text("fails", "holds_last", one_of=[item.value for item in FailBehaviour])),
        points=_points(top, protocol),
        derived=tuple(_derived(name, row, top.where) for name, row in top.table("derived").items()),
        commands=tuple(_command(name, row, top.where) for name, row in top.table("commands").items()),
        read=_read_rules(Fields(top.table("read"), f"{top.where}.read")),
        namespace_uri=top.text("namespace_uri") if top.has("namespace_uri") else "",
        root=top.texts("root", ()),
        byte_order=top.text("byte_order", "big", one_of=("big", "little")),
        identity=_identity(top),
        when_silent=top.text("when_silent") if top.has("when_silent") else "",
        verified=top.text("verified") if top.has("verified") else "",
        heartbeat=_heartbeat(top),
        serial=_serial(top, protocol),
    )


def _name(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if not NAME.fullmatch(value):
        raise fields.fail(key, "lower-case letters, digits and underscores, a letter first")
    return value


def _points(top: Fields, protocol: str) -> tuple[PointSpec, ...]:
    defaults = dict(top.table("defaults"))
    for key in defaults:
        if key not in POINT_DEFAULTS:
            raise ProfileError(f"{top.where}.defaults.{key}: unknown key; expected one of {', '.join(POINT_DEFAULTS)}")
    bound = top.text("layout", "fixed", one_of=LAYOUTS) == "sunspec"
    sentinels = top.has("not_implemented") and bool(top.text("not_implemented", one_of=("sunspec",)))
    points = []
    for name, row in top.table("points").items():
        where = f"{top.where}.points.{name}"
        if not NAME.fullmatch(name):
            raise ProfileError(f"{where}: expected a name of lower-case letters, digits and underscores")
        merged = {**defaults, **row} if isinstance(row, dict) else row
        fields = Fields(merged, where)
        points.append(sunspec_point(name, fields) if bound else _point(name, fields, protocol, sentinels))
    return tuple(points)


def _point(name: str, row: Fields, protocol: str, sentinels: bool) -> PointSpec:
    modbus = protocol == "modbus"
    kind = row.text("type", one_of=tuple(TYPES) if modbus else ())
    missing = row.integers("missing")
    if sentinels and not row.has("missing"):
        missing = SUNSPEC_NOT_IMPLEMENTED.get(kind, ())
    spec = PointSpec(
        name=name,
        type=kind,
        unit=row.text("unit"),
        ref=row.text("ref"),
        access=row.text("access", "r", one_of=("r", "rw", "w")),
        table=row.text("table", "holding", one_of=TABLES) if modbus else "holding",
        address=row.integer("at", low=0, high=65535) if modbus else -1,
        length=row.integer("length", 0, low=1, high=125) if modbus and row.has("length") else 0,
        word_order=row.text("word_order", "high_first", one_of=WORD_ORDERS) if modbus else "high_first",
        path=() if modbus else row.texts("path"),
        scale=row.number("scale", 1.0),
        offset=row.number("offset", 0.0),
        sf=row.text("sf") if row.has("sf") else None,
        missing=missing,
        low=row.number("low") if row.has("low") else None,
        high=row.number("high") if row.has("high") else None,
    )
    row.done()
    return spec


def _derived(name: str, data: object, origin: str) -> DerivedSpec:
    row = Fields(data, f"{origin}.derived.{name}")
    spec = DerivedSpec(name, row.text("op", one_of=OPS), row.texts("of"))
    row.done()
    return spec


def _command(name: str, data: object, origin: str) -> CommandSpec:
    row = Fields(data, f"{origin}.commands.{name}")

    def optional(key: str) -> str | None:
        return row.text(key) if row.has(key) else None

    spec = CommandSpec(
        name=name,
        point=row.text("point"),
        of=optional("of"),
        enable_point=optional("enable_point"),
        enable_value=row.number("enable_value", 1.0),
        lease_point=optional("lease_point"),
        revert_point=optional("revert_point"),
        revert_enable_point=optional("revert_enable_point"),
        read_back=optional("read_back"),
        mode_point=optional("mode_point"),
        mode_value=row.number("mode_value", 1.0),
        mirror_point=optional("mirror_point"),
    )
    row.done()
    return spec


def _heartbeat(top: Fields) -> Heartbeat | None:
    if not top.has("heartbeat"):
        return None
    row = Fields(top.table("heartbeat"), f"{top.where}.heartbeat")
    found = Heartbeat(row.text("write_point"), row.text("watch_point"))
    row.done()
    return found


def _serial(top: Fields, protocol: str) -> PointSpec | None:
    if not top.has("serial_number"):
        return None
    row = Fields({**top.table("serial_number"), "unit": "1"}, f"{top.where}.serial_number")
    return _point("serial_number", row, protocol, sentinels=False)


def _read_rules(row: Fields) -> ReadRules:
    forbidden = []
    for pair in row.rows("forbidden"):
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(v) is int and 0 <= v <= 65535 for v in pair)):
            raise row.fail("forbidden", "a list of [first, last] register addresses")
        if pair[0] > pair[1]:
            raise row.fail("forbidden", f"the first address of a range before the last; {pair} forbids nothing")
        forbidden.append((pair[0], pair[1]))
    rules = ReadRules(
        registers_max=row.integer("registers_max", 120, low=1, high=125),
        gap_max=row.integer("gap_max", 8, low=0, high=125),
        forbidden=tuple(forbidden),
        turnaround_s=row.number("turnaround_s", 0.0),
        outstanding_max=row.integer("outstanding_max", 1, low=1, high=16),
    )
    if not 0.0 <= rules.turnaround_s <= 1.0:
        raise row.fail("turnaround_s", "seconds from 0 to 1")
    row.done()
    return rules


def _identity(top: Fields) -> dict[str, float]:
    row = Fields(top.table("identity"), f"{top.where}.identity")
    return {name: row.number(name) for name in top.table("identity")}
