"""The network as the site file (or a co-simulation) states it: buses, lines, transformers, source, loads."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.domain.thermal import CableThermal, Overhead, TransformerThermal

SQRT3 = math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class Source:
    """The upstream network: a voltage behind a short-circuit impedance.

    ``u_pu`` is the expected voltage on the base of the bus' rated voltage, used only until a measurement says better.
    """

    bus: str
    sk_va: float
    rx_ratio: float
    u_pu: float = 1.0


@dataclass(frozen=True, slots=True)
class Bus:
    """A node. ``u_rated_v`` is line-to-line rms."""

    id: str
    u_rated_v: float


@dataclass(frozen=True, slots=True)
class Line:
    """An overhead line or a cable; ``b_s`` is the total shunt susceptance; ``i_max_a`` the static rating per phase.

    ``overhead`` or ``cable`` says how it warms up, where somebody knows. Where ``impedance_known`` is False, ``r_ohm``
    and ``x_ohm`` are type values, rather too large.
    """

    id: str
    from_bus: str
    to_bus: str
    r_ohm: float
    x_ohm: float
    b_s: float
    i_max_a: float
    overhead: Overhead | None = None
    cable: CableThermal | None = None
    impedance_known: bool = True


@dataclass(frozen=True, slots=True)
class Transformer:
    """A two-winding transformer.

    ``pk_w`` load loss at rated current, ``p0_w`` and ``i0_pu`` no-load loss and current, ``uk_pu`` short-circuit
    voltage; the tap is on the HV side, step ``tap_size_pu`` of ``u1_v``; a higher ``tap_pos`` means more HV turns,
    so a lower voltage on the LV side. ``s_max_va`` is the static limit. ``thermal`` says how it warms up, where
    somebody knows.
    """

    id: str
    hv_bus: str
    lv_bus: str
    sn_va: float
    u1_v: float
    u2_v: float
    uk_pu: float
    pk_w: float
    i0_pu: float
    p0_w: float
    s_max_va: float
    tap_pos: int = 0
    tap_min: int = 0
    tap_max: int = 0
    tap_size_pu: float = 0.0
    cooling: str = "ONAN"
    thermal: TransformerThermal | None = None

    @property
    def i_max_a(self) -> float:
        """Static current limit at the lower-voltage side."""
        return self.s_max_va / (SQRT3 * self.u2_v)

    @property
    def i_rated_a(self) -> float:
        """Nameplate current at the lower-voltage side."""
        return self.sn_va / (SQRT3 * self.u2_v)


Branch = Line | Transformer


@dataclass(frozen=True, slots=True)
class Load:
    """Demand that nobody controls, or fixed generation (negative).

    ``p_w``/``q_var`` are expected values; ``p_min_w``/``p_max_w`` bound what is credible and are what an unmetered
    load is counted at in a worst case.
    """

    id: str
    bus: str
    p_w: float
    q_var: float
    p_min_w: float
    p_max_w: float


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole network. Order of ``buses``, ``lines`` and ``transformers`` is the order of every array built on it."""

    f_hz: float
    source: Source
    buses: tuple[Bus, ...]
    lines: tuple[Line, ...]
    transformers: tuple[Transformer, ...]
    loads: tuple[Load, ...]

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Lines first, then transformers."""
        return self.lines + self.transformers
