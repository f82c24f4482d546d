"""The difference between the drawing and the ground: a seeded true network beside the configured one.

Line impedances differ by up to 15 % (length, temperature, laying), short-circuit voltages by up to 10 % (the tolerance
of IEC 60076-1 for the impedance of a two-winding transformer on its principal tapping, from memory). Transformers
warm up by up to 16 % less than their heat run says, and up to 8 % slower or faster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.domain.thermal import TransformerThermal
from controller.domain.topology import Topology, Transformer
from simulators.seeds import stream


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Bounds of the relative error of the configured values."""

    line_r_rel: float = 0.15
    line_x_rel: float = 0.15
    transformer_uk_rel: float = 0.10
    transformer_heat_rel: float = 0.08


NONE = Tolerances(0.0, 0.0, 0.0, 0.0)


def perturbed(topology: Topology, seed: int, tolerances: Tolerances) -> Topology:
    """A copy of ``topology`` with true impedances drawn uniformly inside the tolerances; ratings stay as configured."""

    def factor(name: str, bound_rel: float) -> float:
        return 1.0 + bound_rel * float(stream(seed, name).uniform(-1.0, 1.0))

    lines = tuple(
        replace(
            line,
            r_ohm=line.r_ohm * factor(f"line.{line.id}.r", tolerances.line_r_rel),
            x_ohm=line.x_ohm * factor(f"line.{line.id}.x", tolerances.line_x_rel),
        )
        for line in topology.lines
    )

    def heat(item: Transformer) -> TransformerThermal | None:
        """A heat run guarantees its rises, so the true ones are no higher; time constants differ either way."""
        rel, given = tolerances.transformer_heat_rel, item.thermal
        if given is None:
            return None
        names = ("top_oil_rise_k", "hot_spot_gradient_k", "tau_oil_s", "tau_winding_s")
        drawn = {name: factor(f"transformer.{item.id}.{name}", rel) for name in names}
        rises = {name: getattr(given, name) * (drawn[name] - rel) for name in names[:2]}
        return replace(given, **rises, **{name: getattr(given, name) * drawn[name] for name in names[2:]})

    transformers = tuple(
        replace(
            item,
            uk_pu=item.uk_pu * factor(f"transformer.{item.id}.uk", tolerances.transformer_uk_rel),
            thermal=heat(item),
        )
        for item in topology.transformers
    )
    return replace(topology, lines=lines, transformers=transformers)
