"""What is allowed at the same time is safe at the same time: nobody is needed to catch anything."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from controller.domain.connection import Connection, MoveLimits
from controller.domain.limit import LimitKind

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "control"))
import core_kit as kit

ROUNDING_FRAC = 0.005  # of a limit: the least room that free units always have
ALL = {"WIND": 8e6, "PV": 6e6, "HUB": 1e6}
share = st.floats(0.0, 1.0)


def used(plant: kit.Plant) -> dict[str, float]:
    """How much of each limit of current and power the true plant uses."""
    truth = plant.truth()
    out = {}
    for limit in plant.site.limits:
        if limit.kind is LimitKind.THERMAL:
            out[limit.id] = truth[f"branch.{limit.element}.i_a"] / limit.high
        elif limit.kind is not LimitKind.VOLTAGE:
            sign = -1.0 if limit.kind is LimitKind.EXPORT else 1.0
            out[limit.id] = sign * truth["interface.p_w"] / limit.high
    return out


@settings(max_examples=14, phases=(Phase.explicit, Phase.generate))
@given(wind=share, sun=share, hub=share, town_w=st.floats(1e6, 4e6))
def test_every_free_unit_may_rise_to_its_cap_at_once_and_nobody_has_to_act(
    wind: float, sun: float, hub: float, town_w: float
) -> None:
    plant = kit.Plant(kit.site(), {"WIND": wind * 8e6, "PV": sun * 6e6, "HUB": hub * 1e6}, town_w=town_w)
    kit.Loop(plant).run(40)
    plant.available_w |= {"WIND": 8e6, "PV": 6e6}
    highest: dict[str, float] = {}
    for _ in range(15):  # no cycle runs any more
        plant.move(1.0)
        highest = {k: max(v, highest.get(k, -math.inf)) for k, v in used(plant).items()}
    assert max(highest.values()) <= 1.0 + ROUNDING_FRAC, highest


def released(plant: kit.Plant, cycles: int) -> Mapping[str, np.ndarray]:
    """True power of every generator, second by second, while an export limit makes room for it."""
    loop = kit.Loop(plant)
    loop.run(40)
    plant.town_w = 4e6
    rows: dict[str, list[float]] = {"WIND": [], "PV": []}
    for _ in range(cycles):
        loop.run(1)
        for name, row in rows.items():
            row.append(-plant.p_w(name))
    return {name: np.array(row) for name, row in rows.items()}


@settings(max_examples=6, phases=(Phase.explicit, Phase.generate))
@given(wind_w_per_s=st.floats(5e3, 1e5), sun_w_per_s=st.floats(5e3, 1e5), town_w=st.floats(1e6, 3e6))
def test_whatever_the_contract_ramps_are_the_units_rise_no_faster(
    wind_w_per_s: float, sun_w_per_s: float, town_w: float
) -> None:
    ramps = {"WIND": wind_w_per_s, "PV": sun_w_per_s}
    site = kit.site(connection=Connection(moves=MoveLimits(unit_w_per_s=tuple(ramps.items()))))
    plant = kit.Plant(site, ALL | {"HUB": 0.0}, town_w=town_w)
    plant.soc_frac = 0.95
    for name, p_w in released(plant, 60).items():
        rated_w = 8e6 if name == "WIND" else 6e6
        risen_w = p_w[20:] - p_w[:-20]
        assert risen_w.max() <= 1.1 * 20.0 * ramps[name] + 0.02 * rated_w, name


@settings(max_examples=8, phases=(Phase.explicit, Phase.generate))
@given(deaf=st.sampled_from(["WIND", "PV"]), wind=st.floats(0.5, 1.0), sun=st.floats(0.5, 1.0))
def test_while_a_deaf_unit_keeps_a_limit_exceeded_the_other_goes_down_and_never_up(
    deaf: str, wind: float, sun: float
) -> None:
    plant = kit.Plant(kit.site(kit.two_units()), {"WIND": wind * 8e6, "PV": sun * 6e6}, town_w=4e6)
    loop = kit.Loop(plant)
    loop.run(40)
    plant.deaf.add(deaf)
    plant.town_w = 1e6
    other = "PV" if deaf == "WIND" else "WIND"
    before_w = -kit.of_unit(loop.records[-1], other)
    for second in range(40):
        record = loop.run(1)
        if second >= 15 and max(used(plant).values()) > 1.0 + ROUNDING_FRAC:
            assert -kit.of_unit(record, other) <= before_w, f"{other} may do more while {deaf} obeys nobody"
            assert -plant.p_w(other) <= 0.1 * before_w, f"{other} is not yet used up against {deaf}"
