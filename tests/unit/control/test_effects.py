"""What moves do to the rows of the limits: picked by bus, and without what hardly matters."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np

from controller.control.dispatch import EFFECT_MIN_FRAC, effects
from controller.control.engine import Engine
from controller.limits.base import Rows


def rows_of(n_w: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    sensitivity = rng.standard_normal((40, 2 * n_w)) * 10.0 ** rng.integers(-3, 1, (40, 2 * n_w))
    return Rows(np.arange(40), sensitivity, np.ones(40), np.ones(40, dtype=bool))


def test_effects_are_sensitivities_at_the_units_buses_and_none_at_the_source() -> None:
    """The plain form is the product with the incidence matrix."""
    units = (*kit.four_units(), replace(kit.unit("FAR", kit.UnitKind.PV, "GRID", 1e6)))
    engine = Engine(kit.site(units))
    incidence, r = engine.layout.incidence, engine.resources
    rows = rows_of(engine.layout.n_w, 5)
    found = effects(rows, engine.layout.unit_bus, r)
    for half, by_unit in (
        (slice(None, engine.layout.n_w), found.by_resource / r.sign),
        (slice(engine.layout.n_w, None), found.by_unit_q[:, r.unit]),
    ):
        plain = (rows.sensitivity[:, half] @ incidence)[:, r.unit]
        strongest = np.abs(plain).max(axis=1, keepdims=True)
        assert (by_unit == np.where(np.abs(plain) < EFFECT_MIN_FRAC * strongest, 0.0, plain)).all()
        assert not by_unit[:, r.unit == 4].any()
