"""The shape of the pure core as its shells see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot

State = TypeVar("State")

Step = Callable[[Site, State, Snapshot], tuple[State, CycleRecord]]
"""``step(site, state, snapshot) -> (next state, record)``: one cycle of the fast loop, without side effects."""
