"""A site whose file says nothing of impedances is kept within its limits all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loop_kit import SITES, START_UP_S, ClosedLoop, VirtualLoop

from controller.clock import ManualClock
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.site import Site
from simulators.adapters.in_process import InProcessField

IMPEDANCE = re.compile(r"r_ohm_per_km: *[0-9.]+, *x_ohm_per_km: *[0-9.]+, *")
COURSES = {"secondary_rooftop": (11.0, 900.0), "demo_primary": (11.0, 900.0)}
SEED = 2


def without_impedances(name: str, folder: Path) -> Site:
    """The site of the repository as somebody would write it who has no cable data."""
    text, count = IMPEDANCE.subn("", (SITES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert count >= 4
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return load_site(path)


@pytest.mark.parametrize("name", sorted(COURSES))
def test_limits_are_kept_without_impedances(name: str, tmp_path: Path) -> None:
    start_h, seconds = COURSES[name]
    loop = ClosedLoop(name, start_h, SEED, with_faults=False)
    site = without_impedances(name, tmp_path)
    assert not any(line.impedance_known for line in site.topology.lines)
    field = InProcessField(loop.world, loop.site.devices)
    loop.loop = VirtualLoop(site, field, step, initial_state(site), clock=ManualClock())
    loop.run(seconds)
    assert not loop.observer.over_after(START_UP_S), f"seed {SEED}"
    assert max(loop.observer.highest_frac.values()) > 0.9  # and they are used
    memory = loop.loop.state.estimator
    assert memory is not None
    learned = memory.gain.sigma[memory.gain.sigma.max(axis=1) > 0.0].min(axis=1)
    assert learned.min() < 0.35  # the box has learned from what its units do
