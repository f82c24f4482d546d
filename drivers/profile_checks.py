"""What must hold between the lines of a profile table: references, register ranges, sentinels, writability."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.profile import CommandSpec, PointSpec, Profile
from drivers.profile_fields import ProfileError

TYPES = {
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "int64": 4,
    "uint64": 4,
    "float32": 2,
    "float64": 4,
    "string": 0,
}
"""Modbus types and their width in registers; a string has the ``length`` of its line."""

SCALE_MIN, SCALE_MAX = 1e-12, 1e12
"""What one step of a register may be worth in SI; beyond it is a slip of the pen, and numbers overflow."""

COMMANDS = ("generation_w_max", "consumption_w_max", "p_w", "q_var")

SUNSPEC_NOT_IMPLEMENTED = {
    "int16": (-0x8000,),
    "uint16": (0xFFFF,),
    "int32": (-0x8000_0000,),
    "uint32": (0xFFFF_FFFF,),
    "int64": (-0x8000_0000_0000_0000,),
    "uint64": (0xFFFF_FFFF_FFFF_FFFF,),
}
"""Raw values that mean "not implemented" (pysunspec2 1.3.7, ``sunspec2/mb.py``; floats use NaN)."""


def registers(spec: PointSpec) -> int:
    """Width of a Modbus point in registers."""
    return spec.length if spec.type == "string" else TYPES[spec.type]


def check_profile(profile: Profile, origin: str) -> None:
    """Raise :class:`ProfileError` for the first inconsistency."""
    if not profile.points:
        raise ProfileError(f"{origin}.points: is empty; expected at least one point")
    for spec in profile.points:
        where = f"{origin}.points.{spec.name}"
        _check_values(spec, where)
        _check_scale_factor(profile, spec, where)
        if profile.protocol == "modbus":
            _check_registers(spec, where)
    if profile.protocol == "modbus":
        _check_overlap(profile, origin)
        _check_reads(profile, origin)
    elif not (profile.namespace_uri and profile.root):
        raise ProfileError(f"{origin}: namespace_uri or root is missing; expected both for opcua")
    _check_derived(profile, origin)
    for command in profile.commands:
        _check_command(profile, command, f"{origin}.commands.{command.name}")
    if profile.serial is not None:
        _check_serial(profile, profile.serial, f"{origin}.serial_number")
    for name in profile.identity:
        _check_identity(profile, name, f"{origin}.identity.{name}")


def _check_serial(profile: Profile, spec: PointSpec, where: str) -> None:
    if profile.protocol != "modbus" or spec.type not in ("string", "uint16", "uint32", "uint64"):
        raise ProfileError(
            f"{where}.type: got {spec.type!r}; expected a text or a whole number without sign, on Modbus"
        )
    _check_registers(spec, where)
    if registers(spec) > profile.read.registers_max:
        raise ProfileError(f"{where}: has {registers(spec)} registers; expected at most {profile.read.registers_max}")


def _check_identity(profile: Profile, name: str, where: str) -> None:
    spec = next((spec for spec in profile.points if spec.name == name), None)
    if spec is None:
        raise ProfileError(f"{where}: unknown point; expected the name of a point")
    if not _is_read(spec) or spec.sf is not None:
        raise ProfileError(f"{where}: is written only, a string or scaled; expected a number that is read as it stands")


def _is_read(spec: PointSpec) -> bool:
    """True for a point that a poll returns."""
    return "r" in spec.access and spec.type != "string"


def _check_values(spec: PointSpec, where: str) -> None:
    if not SCALE_MIN <= abs(spec.scale) <= SCALE_MAX:
        raise ProfileError(
            f"{where}.scale: got {spec.scale:g}; expected {SCALE_MIN:g} to {SCALE_MAX:g}, or less than 0"
        )
    if spec.low is not None and spec.high is not None and not spec.low < spec.high:
        raise ProfileError(f"{where}.high: got {spec.high}; expected more than low, which is {spec.low}")


def _check_scale_factor(profile: Profile, spec: PointSpec, where: str) -> None:
    if spec.sf is None:
        return
    factor = next((other for other in profile.points if other.name == spec.sf), None)
    is_factor = factor is not None and factor.sf is None and _is_read(factor)
    if factor is None or not is_factor or (profile.protocol == "modbus" and factor.type != "int16"):
        expected = "the name of an int16 point that is read, without sf of its own"
        raise ProfileError(f"{where}.sf: got {spec.sf!r}; expected {expected}")


def _check_registers(spec: PointSpec, where: str) -> None:
    width = registers(spec)
    if width == 0 or (spec.length and spec.type != "string"):
        raise ProfileError(f"{where}.length: got {spec.length}; expected registers for a string and nothing otherwise")
    if spec.address + width > 65536:
        raise ProfileError(f"{where}.at: got {spec.address}; expected {width} registers below 65536")
    if spec.table == "input" and "w" in spec.access:
        raise ProfileError(f"{where}.access: got {spec.access!r}; expected r, input registers cannot be written")
    low, high = raw_range(spec.type)
    for value in spec.missing:
        if not low <= value <= high:
            raise ProfileError(f"{where}.missing: got {value}; expected raw {spec.type} values, {low} to {high}")


def raw_range(kind: str) -> tuple[int, int]:
    """Smallest and largest raw integer of a Modbus type; (1, 0), an empty range, for floats and strings."""
    if kind.startswith("uint"):
        return 0, (1 << int(kind[4:])) - 1
    if kind.startswith("int"):
        half = 1 << (int(kind[3:]) - 1)
        return -half, half - 1
    return 1, 0


def _check_overlap(profile: Profile, origin: str) -> None:
    taken: dict[tuple[str, int], str] = {}
    for spec in profile.points:
        for register in range(spec.address, spec.address + registers(spec)):
            other = taken.setdefault((spec.table, register), spec.name)
            if other != spec.name:
                raise ProfileError(
                    f"{origin}.points.{spec.name}.at: {spec.table} register {register} belongs to {other}; "
                    "expected registers of its own"
                )


def _check_reads(profile: Profile, origin: str) -> None:
    """Every point fits into one request that the device allows."""
    rules = profile.read
    for spec in profile.points:
        first, last = spec.address, spec.address + registers(spec) - 1
        if not _is_read(spec):
            continue
        if last - first >= rules.registers_max:
            raise ProfileError(
                f"{origin}.points.{spec.name}: has {registers(spec)} registers; expected at most "
                f"read.registers_max, {rules.registers_max}"
            )
        if any(low <= last and first <= high for low, high in rules.forbidden):
            raise ProfileError(
                f"{origin}.points.{spec.name}.at: got {first}; expected an address outside read.forbidden"
            )


def _check_derived(profile: Profile, origin: str) -> None:
    names = {spec.name for spec in profile.points}
    read = {spec.name for spec in profile.points if _is_read(spec)}
    for derived in profile.derived:
        if derived.name in names:
            raise ProfileError(f"{origin}.derived.{derived.name}: is a point as well; expected a name of its own")
        for name in derived.of:
            if name not in read:
                raise ProfileError(
                    f"{origin}.derived.{derived.name}.of: got {name!r}; expected the name of a point that is read"
                )


def _check_command(profile: Profile, command: CommandSpec, where: str) -> None:
    if command.name not in COMMANDS:
        raise ProfileError(f"{where}: unknown command; expected one of {', '.join(COMMANDS)}")
    access = {spec.name: spec.access for spec in profile.points if spec.type != "string"}
    for key, name, need in _references(command):
        if name is not None and need not in access.get(name, ""):
            what = "written" if need == "w" else "read"
            raise ProfileError(f"{where}.{key}: got {name!r}; expected the name of a point that can be {what}")


def _references(command: CommandSpec) -> Iterator[tuple[str, str | None, str]]:
    yield "point", command.point, "w"
    yield "mirror_point", command.mirror_point, "w"
    yield "mode_point", command.mode_point, "w"
    yield "lease_point", command.lease_point, "w"
    yield "revert_point", command.revert_point, "w"
    yield "revert_enable_point", command.revert_enable_point, "w"
    yield "enable_point", command.enable_point, "w"
    yield "of", command.of, "r"
    yield "read_back" if command.read_back else "point", command.read_back or command.point, "r"
