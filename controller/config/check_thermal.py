"""Do the thermal models describe something that exists, and do seasons say when they are?"""

from __future__ import annotations

from datetime import date

from controller.config.convert import to_line, to_transformer
from controller.config.convert_thermal import static_pu, to_thermal
from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema import ThermalLimitModel
from controller.config.schema_network import LineModel, TransformerModel
from controller.config.schema_thermal import SeasonModel
from controller.domain.thermal import MONTHS

SEASON_MAX_FRAC = 1.5  # of the static rating: beyond it somebody mistyped
A_LEAP_YEAR = 2024


def check_thermal(draft: Draft) -> None:
    """Every transformer's and line's thermal model by itself, every season, and the assumed weather."""
    for transformer in draft.transformers:
        _check_transformer(draft, transformer)
    for line in draft.lines:
        _check_line(draft, line)
    ratings_a = {at.item.id: to_line(at.item, 50.0).i_max_a for at in draft.lines}
    ratings_a |= {at.item.id: to_transformer(at.item).i_max_a for at in draft.transformers}
    for limit in draft.thermal:
        for index, season in enumerate(limit.item.seasons):
            _check_season(draft, (*limit.path, "seasons", index), season, limit, ratings_a)
    count = 0 if draft.weather is None else len(draft.weather.ambient_by_month_c)
    if count not in (0, MONTHS):
        path = ("weather", "ambient_by_month_c")
        draft.report(path, f"{count} temperatures", f"{MONTHS} temperatures, January first", "one for every month")


def _check_transformer(draft: Draft, at: At[TransformerModel]) -> None:
    item, thermal, path = at.item, to_thermal(at.item), (*at.path, "thermal")
    if thermal is None or item.thermal is None:
        return
    fast_s, slow_s = thermal.k22 * thermal.tau_winding_s, thermal.tau_oil_s / thermal.k22
    if fast_s > slow_s:
        expected = f"minutes, at most {slow_s / thermal.k22 / 60.0:.3g} (tau_oil_min / k22²)"
        draft.report((*path, "tau_winding_min"), f"{thermal.tau_winding_s / 60.0:.4g}", expected, "slower than its oil")
    if thermal.hot_spot_c_max <= thermal.top_oil_c_max:
        expected = f"degC, above top_oil_c_max {thermal.top_oil_c_max:g}"
        draft.report((*path, "hot_spot_c_max"), show(thermal.hot_spot_c_max), expected, "the hot spot lies in that oil")
    cap, least = item.thermal.load_percent_max, 100.0 * static_pu(item)
    if cap is not None and cap < least:
        expected = f"percent, at least the static loading, {least:.4g}"
        draft.report((*path, "load_percent_max"), show(cap), expected, "lower s_max_mva instead")


def _check_line(draft: Draft, at: At[LineModel]) -> None:
    line = at.item
    if line.overhead is not None and line.cable is not None:
        draft.report((*at.path, "cable"), "overhead and cable", "one of the two", "the weaker part of a mixed line")
    cable, overhead = line.cable, line.overhead
    if overhead is not None and overhead.r75_ohm_per_km < overhead.r25_ohm_per_km:
        expected = f"ohm/km, at least r25_ohm_per_km {overhead.r25_ohm_per_km:g}"
        message = "a warm conductor resists more"
        draft.report((*at.path, "overhead", "r75_ohm_per_km"), show(overhead.r75_ohm_per_km), expected, message)
    if cable is not None and cable.emergency_c < cable.rated_c:
        expected = f"degC, at least rated_c {cable.rated_c:g}"
        draft.report((*at.path, "cable", "emergency_c"), show(cable.emergency_c), expected, "lower than without one")
    if cable is not None and cable.ground_c >= cable.rated_c:
        expected = f"degC, below rated_c {cable.rated_c:g}"
        draft.report((*at.path, "cable", "ground_c"), show(cable.ground_c), expected, "it could not cool down")


def _check_season(
    draft: Draft, path: Path, season: SeasonModel, limit: At[ThermalLimitModel], ratings_a: dict[str, float]
) -> None:
    days = (season.first_day, season.last_day)
    if bool(season.months) == all(days) or any(days) != all(days):
        draft.report(path, "another set of keys", "months, or first_day with last_day", "when is this season?")
    for key, text in zip(("first_day", "last_day"), days, strict=True):
        if text is not None and not _exists(text):
            draft.report((*path, key), show(text), "a day of the year such as 05-01", "there is no such day")
    rating_a = ratings_a.get(limit.item.branch)
    if rating_a is not None and season.i_max_a > SEASON_MAX_FRAC * rating_a:
        expected = f"A, at most {SEASON_MAX_FRAC:g} times the static rating {rating_a:.4g}"
        draft.report((*path, "i_max_a"), show(season.i_max_a), expected, "or the static rating is wrong")


def _exists(text: str) -> bool:
    month, day = text.split("-")
    try:
        date(A_LEAP_YEAR, int(month), int(day))
    except ValueError:
        return False
    return True
