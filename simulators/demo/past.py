"""A past for a station that has just been installed: synthetic earlier days of the same site, written as its history.

A station without history cannot forecast. These days come from the simulator's own signals, with the same habits and
the same kind of weather, but other gusts, clouds and vehicles; the wind of each comes earlier or later and is weaker or
stronger than that of the day that is shown. Nothing of them was measured, and nothing of them comes from the night and
the day to come; the hours of the first evening before the start are those of the day itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from controller.domain.points import HUB_QUANTITIES
from controller.domain.site import Site
from controller.history.batch import Batch, Sample
from controller.history.store import FILE, Store
from simulators.ordinary_day import QUARTER_S, QUARTERS, OrdinaryDay, ordinary_day
from simulators.scenario import Scenario
from simulators.seeds import stream

DAYS = 8
OTHER_SEED = 2_000_003
EARLIER_H = (-2.5, 2.5)
WIND_FRAC = (0.75, 1.08)
CLOUD_FRAC = (0.7, 1.6)


def prepare(folder: Path, site: Site, scenario: Scenario, seed: int, began_utc: datetime) -> int:
    """Write the days before ``began_utc`` as a history into the folder; how many quarter hours that were.

    A folder that has a history already is left as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FILE).exists():
        return 0
    written = 0
    with closing(Store(folder, site.name)) as store:
        for batch in batches(site, scenario, seed, began_utc):
            store.append(batch)
            written += 1
    return written


def batches(site: Site, scenario: Scenario, seed: int, began_utc: datetime) -> Iterator[Batch]:
    """The quarter hours of the days before ``began_utc``, oldest first."""
    zone = ZoneInfo(site.timezone)
    today = began_utc.astimezone(zone).date()
    for back in range(DAYS, -1, -1):
        midnight = datetime.combine(today - timedelta(days=back), time(), zone).astimezone(UTC)
        lived = another(scenario, seed, back) if back else scenario
        day = ordinary_day(site, lived, seed + OTHER_SEED * back)
        for quarter in range(QUARTERS):
            start_s = int(midnight.timestamp()) + QUARTER_S * quarter
            if start_s + QUARTER_S <= began_utc.timestamp():
                samples = (Sample(point, 1, w, w, w) for point, w in _points(site, day, quarter).items())
                yield Batch(start_s, QUARTER_S, tuple(samples))


def another(scenario: Scenario, seed: int, back: int) -> Scenario:
    """The scenario with the weather of the day so many days back."""
    rng = stream(seed, f"past.{back}")
    earlier_h, wind_frac, cloud_frac = (float(rng.uniform(*span)) for span in (EARLIER_H, WIND_FRAC, CLOUD_FRAC))
    return replace(
        scenario,
        wind_m_s={(hour - earlier_h) % 24.0: w * wind_frac for hour, w in scenario.wind_m_s.items()},
        cloud_frac={hour: min(cover * cloud_frac, 1.0) for hour, cover in scenario.cloud_frac.items()},
    )


def _points(site: Site, day: OrdinaryDay, quarter: int) -> Mapping[str, float]:
    """What the station would have stored of a quarter hour, by point."""
    found = {f"bus.{bus.id}.{field}": 0.0 for bus in site.topology.buses for field in ("p_w", "q_var")}
    for k, load in enumerate(site.topology.loads):
        found[f"bus.{load.bus}.p_w"] += float(day.load_w[quarter, k])
        found[f"bus.{load.bus}.q_var"] += float(day.load_var[quarter, k])
    for unit_id, hub in day.hubs.items():
        values = zip(HUB_QUANTITIES, hub[quarter].tolist(), strict=True)
        found |= {f"unit.{unit_id}.{name}": value for name, value in values}
    return found | {f"unit.{unit.id}.p_w": float(day.unit_w[quarter, k]) for k, unit in enumerate(site.units)}
