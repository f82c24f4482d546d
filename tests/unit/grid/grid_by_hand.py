"""Power flow of the smallest networks, worked out by hand: nothing here comes from the product or its solver."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.domain.topology import Bus, Line, Source, Topology, Transformer

SQRT3 = math.sqrt(3.0)
U_V = 20e3
SK_VA, RX = 400e6, 0.25
LINE_R_OHM, LINE_X_OHM = 1.1, 1.7


@dataclass(frozen=True)
class Solved:
    """Voltages at source and load bus (V line-to-line), and what flows into the line at its source end."""

    source_v: float
    load_v: float
    line_p_w: float
    line_q_var: float
    line_i_a: float


def receiving_v(sending_v: float, r_ohm: float, x_ohm: float, p_w: float, q_var: float) -> float:
    """Receiving-end voltage of a series impedance with a constant-power load (upper root of the quartic)."""
    half = 0.5 * sending_v**2 - (p_w * r_ohm + q_var * x_ohm)
    inside = half**2 - (p_w**2 + q_var**2) * (r_ohm**2 + x_ohm**2)
    return math.sqrt(half + math.sqrt(inside))


def source_impedance(u_v: float = U_V, sk_va: float = SK_VA, rx: float = RX) -> tuple[float, float]:
    """Resistance and reactance behind the source bus, ohm."""
    x_ohm = u_v**2 / sk_va / math.hypot(1.0, rx)
    return rx * x_ohm, x_ohm


def two_bus(p_w: float, q_var: float) -> Solved:
    """The network of :func:`two_bus_topology` with that load (load convention; generation negative)."""
    source_r, source_x = source_impedance()
    load_v = receiving_v(U_V, source_r + LINE_R_OHM, source_x + LINE_X_OHM, p_w, q_var)
    squared = (p_w**2 + q_var**2) / load_v**2
    p_in, q_in = p_w + LINE_R_OHM * squared, q_var + LINE_X_OHM * squared
    source_v = SQRT3 * math.hypot(p_in, q_in) / (SQRT3 * math.sqrt(squared)) if squared else U_V
    return Solved(source_v, load_v, p_in, q_in, math.sqrt(squared / 3.0))


def two_bus_topology() -> Topology:
    """Source bus A behind its short-circuit impedance, a line without capacitance, load bus B."""
    return Topology(
        f_hz=50.0,
        source=Source("A", SK_VA, RX),
        buses=(Bus("A", U_V), Bus("B", U_V)),
        lines=(Line("AB", "A", "B", LINE_R_OHM, LINE_X_OHM, 0.0, 300.0),),
        transformers=(),
        loads=(),
    )


UK_PU, PK_W, SN_VA = 0.10, 60e3, 10e6
U1_V, U2_V = 33e3, 11e3
STIFF_VA = 1e15
TAP_PU = 0.0125


def transformer_lv_v(p_w: float, q_var: float, tap_pos: int) -> float:
    """Voltage at the lower-voltage terminals of :func:`transformer_topology`.

    The series impedance is at the turns ratio of the tap in use; the nameplate per-unit value refers to the lower side.
    """
    base_ohm = U2_V**2 / SN_VA
    r_ohm = PK_W / SN_VA * base_ohm
    x_ohm = math.sqrt((UK_PU * base_ohm) ** 2 - r_ohm**2)
    no_load_v = U1_V / (U1_V * (1.0 + TAP_PU * tap_pos)) * U2_V
    return receiving_v(no_load_v, r_ohm, x_ohm, p_w, q_var)


def transformer_topology(tap_pos: int) -> Topology:
    """A stiff source, one transformer without magnetising branch, a load at its lower side."""
    return Topology(
        f_hz=50.0,
        source=Source("HV", STIFF_VA, 0.1),
        buses=(Bus("HV", U1_V), Bus("LV", U2_V)),
        lines=(),
        transformers=(
            Transformer("T", "HV", "LV", SN_VA, U1_V, U2_V, UK_PU, PK_W, 0.0, 0.0, SN_VA, tap_pos, -8, 8, TAP_PU),
        ),
        loads=(),
    )
