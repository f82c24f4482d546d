"""The shape of a cycle record, as readers of the record socket, reports and replays rely on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.snapshot import Snapshot

HERE = Path(__file__).resolve().parent
SITE = HERE.parents[1] / "site_configs" / "demo_primary.yaml"
GOLDEN = HERE / "cycle_record_shape.json"


def shape(value: Any) -> Any:
    """Keys and kinds of values; a list is described by its first element."""
    if isinstance(value, dict):
        return {key: shape(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__


def test_a_record_has_the_shape_that_its_readers_know() -> None:
    """A deliberate change of the record changes the file, and is a line in the changelog."""
    site = load_site(SITE)
    _, record = step(site, initial_state(site), Snapshot(0.0, {}))
    assert shape(record.to_dict()) == json.loads(GOLDEN.read_text(encoding="utf-8"))
