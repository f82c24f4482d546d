"""The kit's station with one transformer that is watched, and situations by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import core_kit as kit
import numpy as np

from controller.domain.limit import Limit, LimitKind
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.domain.thermal import DesignWeather, TransformerThermal
from controller.limits.in_force import Situation

# IEC 60076-7 characteristics of ONAN, loss ratio of the kit's T1; rises as without a heat-run report.
ONAN = TransformerThermal(60.0, 22.1, 8.3, 0.8, 1.3, 0.5, 2.0, 2.0, 12600.0, 600.0, load_pu_max=1.5)
I_RATED_A = kit.topology().transformers[0].i_rated_a
JULY_S, JANUARY_S = 1783929600.0, 1768464000.0  # 2026-07-13 08:00 and 2026-01-15 08:00 UTC
MONTHS_C = (8.0, 9.0, 12.0, 16.0, 21.0, 25.0, 28.0, 28.0, 23.0, 18.0, 12.0, 9.0)


def site(thermal: TransformerThermal = ONAN, static_pu: float = 1.0, **changes: Any) -> Site:
    """The station with that transformer and one limit on it."""
    topology = kit.topology()
    topology = replace(topology, transformers=(replace(topology.transformers[0], thermal=thermal),))
    limit = Limit("T1.thermal", LimitKind.THERMAL, "T1", thermal.load_pu_max * I_RATED_A, rated=static_pu * I_RATED_A)
    made = kit.site(limits=(limit,), topology=topology)
    return replace(made, weather=DesignWeather(MONTHS_C), **changes)


def situation(
    now_s: float,
    load_pu: float,
    points: Mapping[str, float] | None = None,
    age_s: float = 0.5,
    utc_s: float = math.nan,
    quality: Quality = Quality.GOOD,
) -> Situation:
    """T1 carries so much, the meters' last word is so old, and ``points`` are what else is measured."""
    branches = len(kit.topology().branches)
    current = np.zeros(branches)
    current[-1] = load_pu * I_RATED_A
    estimate: Any = SimpleNamespace(
        branch_ip_a=current,
        branch_iq_a=np.zeros(branches),
        branch_sigma_a=np.zeros(branches),
        branch_excess_a=np.zeros(branches),
        branch_age_s=np.full(branches, age_s),
    )
    read = {k: Measurement(v, quality, now_s - 0.5, now_s) for k, v in (points or {}).items()}
    return Situation(Snapshot(now_s, read, utc_s), estimate)
