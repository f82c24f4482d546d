"""What the market is worth on the demo's day: the same 24 hours with and without it, on virtual time.

    python benchmarks/market_day.py [--seed 1] [--hours 24] [--start 20:00] [--margin-mw 4]

Plant, controller and market in one process, as in the acceptance tests (tests/acceptance/day_kit.py), with
the cycle stretched as in the demo at 144 x. Counted from two minutes after the start, when that is over. With a larger
margin more is bought than will be needed, dear reductions of generation too: what is curtailed because of that?
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "acceptance"))

from day_kit import START_UP_MIN, DayLoop


def played(market: bool, asked: argparse.Namespace) -> DayLoop:
    """The day to its end; prints what came of it."""
    margin_w = None if asked.margin_mw is None else 1e6 * asked.margin_mw
    day = DayLoop(asked.start, market=market, seed=asked.seed, margin_w=margin_w).settled()
    day.run(60.0 * asked.hours - START_UP_MIN)
    name = "with the market" if market else "without"
    print(f"{name}: {day.curtailed_wh() / 1e6:.3f} MWh of generation curtailed, {paid_eur(day):.0f} EUR paid")
    print(f"  export at most {day.highest_frac('export'):.2%} of what is agreed, {day.over_s('export'):.0f} s above")
    others = [limit["id"] for limit in day.world.score.limits() if limit["over_s"] > 0.0 and limit["id"] != "export"]
    print(f"  other limits exceeded: {', '.join(others) or 'none'}; orders refused: {len(day.refused)}")
    return day


def paid_eur(day: DayLoop) -> float:
    """For the accepted offers of active power, and for voltage support by the operator's meter."""
    bought = sum(outcome.paid_eur for outcome in day.outcomes if not outcome.reactive)
    return bought + sum(support.paid_eur() for support in day.desk.supports)


def main() -> None:
    """Play both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--start", default="20:00", help="HH:MM")
    parser.add_argument("--margin-mw", type=float, help="bought beyond the forecast, in place of the scenario's")
    asked = parser.parse_args()
    on, off = (played(market, asked) for market in (True, False))
    saved = {u["id"]: (v["curtailed_wh"] - u["curtailed_wh"]) / 1e6 for u, v in _both(on, off)}
    prices = {unit.id: unit.price_eur_per_mwh for unit in on.world.site.units}
    shortfall = on.desk.market.shortfall_eur_per_mwh
    print(
        f"kept: {sum(saved.values()):.2f} MWh, worth {sum(saved.values()) * shortfall:.0f} EUR at the {shortfall:.0f} "
        f"EUR/MWh of the auctions, {sum(w * prices[u] for u, w in saved.items()):.0f} EUR at the owners' prices, "
        f"for {paid_eur(on):.0f} EUR"
    )


def _both(on: DayLoop, off: DayLoop) -> list[tuple[dict[str, float], dict[str, float]]]:
    return list(zip(on.world.score.units(), off.world.score.units(), strict=True))


if __name__ == "__main__":
    main()
