"""Keys of the escalation ladder in a site file."""

from __future__ import annotations

from controller.config.fields import Strict, about, number


class RungModel(Strict):
    """One rung of the ladder."""

    over_percent: float = number("percent", 100.5, 300, "Loading above which the rung's time runs.")
    after_s: float = number(
        "seconds", 1, 3600, "How long, while it does not fall; never sooner than twice a healthy answer."
    )


class EscalationModel(Strict):
    """What happens when a thermal, export or import limit stays exceeded in spite of the dispatch."""

    trim: RungModel = about(
        "All that push give the same share of what they do.", RungModel(over_percent=103.0, after_s=6.0)
    )
    slow_trip: RungModel = about(
        "The next unit is locked out: the deaf first, the largest first.", RungModel(over_percent=105.0, after_s=30.0)
    )
    fast_trip: RungModel = about("The same, sooner.", RungModel(over_percent=110.0, after_s=10.0))
    trip_all: RungModel = about("All that push are locked out.", RungModel(over_percent=120.0, after_s=6.0))
    calm_s: float = number("seconds", 10, 86400, "Time below 97 % before the first unit is released.", 60.0)
    step_s: float = number("seconds", 5, 3600, "Time between two releases.", 30.0)
    reset_min: float | None = number(
        "minutes", 1, 10_000, "Calm after which a trip of all ends by itself; left out: only by hand.", None
    )
