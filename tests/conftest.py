"""Settings that hold for every test."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run: a test that passed here passes there. A shared machine's pace is no failure.
settings.register_profile("gridedge", derandomize=True, deadline=None)
settings.load_profile("gridedge")
