"""Every branch as a two-port of admittances, in per unit of the buses' rated voltages, and the matrix of them all.

The same equivalent circuits as the power flow's (power-grid-model: lines and transformers are pi sections, half of the
shunt at each end, the transformer's ratio at the higher-voltage end).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.topology import Line, Source, Topology, Transformer

ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]
TwoPort = tuple[complex, complex, complex, complex]

BASE_VA = 1e6


@dataclass(frozen=True, slots=True)
class TwoPorts:
    """All branches, lines first: I_first = y_11 V_first + y_12 V_second, I_second = y_21 V_first + y_22 V_second.

    ``first`` is a line's from bus and a transformer's higher-voltage bus.
    """

    first: IndexArray
    second: IndexArray
    y_11: ComplexArray
    y_12: ComplexArray
    y_21: ComplexArray
    y_22: ComplexArray

    @staticmethod
    def of(topology: Topology, out_of_service: frozenset[str] = frozenset()) -> TwoPorts:
        """In the order of the topology's branches; those out of service admit nothing."""
        place = {b.id: k for k, b in enumerate(topology.buses)}
        rated_v = {b.id: b.u_rated_v for b in topology.buses}
        ends = [(place[x.from_bus], place[x.to_bus]) for x in topology.lines]
        ends += [(place[t.hv_bus], place[t.lv_bus]) for t in topology.transformers]
        ports = [_line(x, rated_v[x.from_bus]) for x in topology.lines]
        ports += [_transformer(t, rated_v[t.hv_bus], rated_v[t.lv_bus]) for t in topology.transformers]
        first, second = np.array(ends, dtype=np.intp).reshape(-1, 2).T
        admitted = np.array(ports, dtype=np.complex128).reshape(-1, 4)
        admitted[[b.id in out_of_service for b in topology.branches]] = 0.0
        return TwoPorts(first, second, *admitted.T)


def bus_matrix(ports: TwoPorts, topology: Topology) -> ComplexArray:
    """The bus admittance matrix, with the source's short-circuit admittance at its bus."""
    n = len(topology.buses)
    out = np.zeros((n, n), dtype=np.complex128)
    np.add.at(out, (ports.first, ports.first), ports.y_11)
    np.add.at(out, (ports.first, ports.second), ports.y_12)
    np.add.at(out, (ports.second, ports.first), ports.y_21)
    np.add.at(out, (ports.second, ports.second), ports.y_22)
    at_source = [b.id for b in topology.buses].index(topology.source.bus)
    out[at_source, at_source] += source_admittance(topology.source)
    return out


def _line(line: Line, rated_v: float) -> TwoPort:
    to_pu = rated_v**2 / BASE_VA
    series, shunt = to_pu / complex(line.r_ohm, line.x_ohm), 1j * line.b_s * to_pu
    both = series + 0.5 * shunt
    return both, -series, -series, both


def _transformer(t: Transformer, hv_rated_v: float, lv_rated_v: float) -> TwoPort:
    tap_pos = min(max(t.tap_pos, t.tap_min), t.tap_max)
    u1_v = t.u1_v * (1.0 + tap_pos * t.tap_size_pu)
    ratio = (u1_v / hv_rated_v) / (t.u2_v / lv_rated_v)
    to_pu = lv_rated_v**2 / BASE_VA
    base_ohm = t.u2_v**2 / t.sn_va
    r_pu, iron_pu = t.pk_w / t.sn_va, t.p0_w / t.sn_va
    series = to_pu / (base_ohm * complex(r_pu, math.sqrt(max(t.uk_pu**2 - r_pu**2, 0.0))))
    shunt = to_pu / base_ohm * complex(iron_pu, -math.sqrt(max(t.i0_pu**2 - iron_pu**2, 0.0)))
    both = series + 0.5 * shunt
    return both / ratio**2, -series / ratio, -series / ratio, both


def source_admittance(source: Source) -> complex:
    """What stands between the source's voltage and its bus, per unit of ``BASE_VA``.

    X = Z / sqrt(1 + (R/X)²) of the short-circuit impedance Z = U²/S, as in IEC 60909-0, 6.2."""
    x = BASE_VA / source.sk_va / math.sqrt(1.0 + source.rx_ratio**2)
    return 1.0 / complex(source.rx_ratio * x, x)
