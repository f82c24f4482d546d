"""A device profile: the table that tells a driver (and a simulator) what a device's points are.

The point names are the vocabulary shared with the controller. Values behind a name are always SI in the house's
sign (load convention for units, import-positive for meters); ``scale`` carries the flip and the unit conversion:

    value = raw × scale × 10^sf + offset

Measured: ``p_w q_var s_va i_a i_1_a i_2_a i_3_a u_v`` (line-to-line) ``u_12_v u_23_v u_31_v u_1_v_ln u_2_v_ln
u_3_v_ln f_hz p_avail_w soc_frac top_oil_c hot_spot_c ambient_c tap_pos state energy_import_wh energy_export_wh``.
Settings and controls are named by the profile and referred to from its ``commands``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class FailBehaviour(Enum):
    """What the device does by itself when set points stop coming."""

    REVERTS_TO_VALUE = "reverts_to_value"
    HOLDS_LAST = "holds_last"
    FAILS_OPEN = "fails_open"


@dataclass(frozen=True, slots=True)
class PointSpec:
    """One point of a device.

    Modbus: ``table`` is ``holding`` or ``input``, ``address`` 0-based, ``type`` one of ``int16 uint16 int32 uint32
    int64 uint64 float32 float64 string``; ``word_order`` ``high_first`` or ``low_first``; ``length`` in registers for
    strings. OPC UA: ``path`` is the browse path below the device's root object, ``type`` the expected DataType name.
    ``sf`` names the point that holds the power-of-ten scale factor. ``missing`` lists raw values that mean "not
    implemented" (NaN always does). ``low``/``high`` are the plausible range of the SI value, checked on every read.
    ``ref`` is the manual page. ``sunspec`` binds the point to the first of these models that the device has
    (``701.W``); address, type, scale factor and sentinel then come from the device's own chain of models.
    """

    name: str
    type: str
    unit: str
    ref: str
    access: str = "r"
    table: str = "holding"
    address: int = -1
    length: int = 0
    word_order: str = "high_first"
    path: tuple[str, ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    sf: str | None = None
    missing: tuple[int, ...] = ()
    low: float | None = None
    high: float | None = None
    sunspec: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DerivedSpec:
    """A point computed from others: ``op`` is ``max``, ``min``, ``mean``, ``sum`` or ``mean_ln_to_ll`` (mean × √3)."""

    name: str
    op: str
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """How one command of the house becomes writes.

    ``name`` is ``generation_w_max``, ``consumption_w_max``, ``p_w`` or ``q_var``. The value is written to ``point``;
    with ``of`` it is written as a fraction of that point's value (``w_max_lim_frac`` of ``w_max_w``). ``enable_point``
    is then set to ``enable_value``. ``mirror_point`` takes the negative of the value (SunSpec 124 has one rate per
    direction). ``mode_point`` (first of all, ``mode_value``) tells the device what ``point`` is
    (SunSpec 704 WSetMod 1 = watts). ``lease_point`` takes the time-out in seconds and restarts with every write;
    ``revert_point`` (with ``revert_enable_point``, set to 1) takes the value to fall back to. Written in the order
    mode, lease, revert, revert enable, value, enable. ``read_back`` is the point compared afterwards (default
    ``point``).
    """

    name: str
    point: str
    of: str | None = None
    enable_point: str | None = None
    enable_value: float = 1.0
    lease_point: str | None = None
    revert_point: str | None = None
    revert_enable_point: str | None = None
    read_back: str | None = None
    mode_point: str | None = None
    mode_value: float = 1.0
    mirror_point: str | None = None


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What the device tolerates: block length and gap in registers, forbidden ranges, pause between requests.

    ``outstanding_max`` requests may wait for their answers at once (Modbus TCP and TLS only): 1 to 16, as the manual
    says (MODBUS Messaging on TCP/IP V1.0b, 4.4.1: NumberMaxOfServerTransaction).
    """

    registers_max: int = 120
    gap_max: int = 8
    forbidden: tuple[tuple[int, int], ...] = ()
    turnaround_s: float = 0.0
    outstanding_max: int = 1


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Counters that prove life: we write ours to ``write_point`` every second, the device counts ``watch_point`` up."""

    write_point: str
    watch_point: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One device type. ``source`` names the manual; ``fails`` what it does when we go silent.

    ``when_silent`` says that in a sentence, with what covers a device that fails open or holds its last set point;
    ``verified`` against what the table was checked. A profile whose points are bound to SunSpec models has them
    unplaced in ``template``, and here the addresses of the standard chain, for a simulated twin. ``serial`` is where
    the device keeps its serial number, a text or a whole number.
    """

    id: str
    kind: str
    title: str
    protocol: str
    source: str
    fails: FailBehaviour
    points: tuple[PointSpec, ...]
    derived: tuple[DerivedSpec, ...] = ()
    commands: tuple[CommandSpec, ...] = ()
    read: ReadRules = field(default_factory=ReadRules)
    namespace_uri: str = ""
    root: tuple[str, ...] = ()
    byte_order: str = "big"
    identity: Mapping[str, float] = field(default_factory=dict)
    when_silent: str = ""
    verified: str = ""
    heartbeat: Heartbeat | None = None
    template: Profile | None = None
    serial: PointSpec | None = None

    def point(self, name: str) -> PointSpec:
        """The point called ``name``; KeyError names the profile when there is none."""
        for spec in self.points:
            if spec.name == name:
                return spec
        raise KeyError(f"profile {self.id} has no point {name!r}")

    def command(self, name: str) -> CommandSpec | None:
        """The command called ``name``, or None when the device cannot do it."""
        return next((spec for spec in self.commands if spec.name == name), None)

    def poll_names(self) -> frozenset[str]:
        """Names that a poll returns: points and derived ones, ``p_set_w`` and ``q_set_var`` where a command has them.

        Of a profile that is bound to SunSpec models only what it declares; scale factors and headers stay inside.
        """
        declared = self.template if self.template is not None else self
        names = {spec.name for spec in declared.points if "r" in spec.access and spec.type != "string"}
        names |= {derived.name for derived in declared.derived}
        commands = {command.name for command in declared.commands}
        names |= {"p_set_w"} if commands - {"q_var"} else set()
        names |= {"q_set_var"} if "q_var" in commands else set()
        return frozenset(names)
