"""Do G100, mean bands and calendar name what exists, and do they lie inside the fixed limits?"""

from __future__ import annotations

from datetime import date

from controller.config.check_network import check_reference
from controller.config.draft import At, Draft
from controller.config.finding import Path, show
from controller.config.schema import LimitsModel, VoltageLimitModel
from controller.config.schema_connection import CalendarModel, G100Model

_LEAP_YEAR = 2024


def check_connection(draft: Draft) -> None:
    """Every block by itself, and against the fixed limits."""
    limits = draft.limits
    for band in draft.voltage:
        _check_mean(draft, band)
    if limits is None:
        return
    if limits.g100 is not None:
        _check_g100(draft, limits, limits.g100)
    seen: set[str] = set()
    for index, entry in enumerate(limits.calendar):
        at = At(("limits", "calendar", index), entry)
        _check_entry(draft, limits, at)
        _check_times(draft, at)
        if entry.id in seen:
            draft.report((*at.path, "id"), show(entry.id), "a name of its own", "another entry has it already")
        seen.add(entry.id)


def _check_mean(draft: Draft, at: At[VoltageLimitModel]) -> None:
    band = at.item
    for key in ("below_percent", "above_percent"):
        mean, fast = getattr(band, f"mean_{key}"), getattr(band, key)
        if mean is not None and fast is not None and mean > fast:
            message = "the band of fast values must hold that of their means"
            draft.report((*at.path, f"mean_{key}"), show(mean), f"percent, at most {key} {fast:g}", message)
    if (band.mean_below_percent is None) != (band.mean_above_percent is None):
        draft.report(at.path, "one edge", "mean_below_percent with mean_above_percent", "a band has two edges")


def _check_g100(draft: Draft, limits: LimitsModel, scheme: G100Model) -> None:
    if limits.export_kw is None and limits.import_kw is None:
        draft.report(("limits", "g100"), "no limit", "export_kw or import_kw", "there is nothing to limit")
    for key, locked, fixed in (
        ("lockout_export_kw", scheme.lockout_export_kw, limits.export_kw),
        ("lockout_import_kw", scheme.lockout_import_kw, limits.import_kw),
    ):
        if locked is not None and (fixed is None or locked > fixed):
            expected = f"at most {key.removeprefix('lockout_')}"
            draft.report(("limits", "g100", key), show(locked), expected, "a lock-out narrows the limit")


def _check_entry(draft: Draft, limits: LimitsModel, at: At[CalendarModel]) -> None:
    entry = at.item
    stated = [key for key in ("export_kw", "import_kw", "unit_kw") if getattr(entry, key) is not None]
    if len(stated) != 1 or (entry.unit is None) == ("unit_kw" in stated):
        found = " and ".join(stated) or "no power"
        draft.report(at.path, found, "one of export_kw, import_kw, or unit with unit_kw", "one cap to an entry")
        return
    if entry.unit is not None:
        check_reference(draft, (*at.path, "unit"), entry.unit, draft.known("units"), "unit")
        return
    key = stated[0]
    cap, fixed = getattr(entry, key), getattr(limits, key)
    if fixed is None or cap > fixed:
        expected = f"kW, at most limits.{key}" + ("" if fixed is None else f" {fixed:g}")
        message = f"limits.{key} says what holds at any other time" if fixed is None else "a calendar only narrows"
        draft.report((*at.path, key), show(cap), expected, message)


def _check_times(draft: Draft, at: At[CalendarModel]) -> None:
    entry, path = at.item, at.path
    for one, other in (("from_time", "to_time"), ("season_from", "season_to")):
        if (getattr(entry, one) is None) != (getattr(entry, other) is None):
            draft.report(path, "one of them", f"{one} with {other}", "a span has two ends")
    if entry.from_time is not None and entry.from_time == entry.to_time:
        draft.report(
            (*path, "to_time"), show(entry.to_time), "another time than from_time", "leave both out for all day"
        )
    for key in ("season_from", "season_to"):
        value = getattr(entry, key)
        if value is not None:
            _check_date(draft, (*path, key), f"{_LEAP_YEAR}-{value}")
    first = _check_date(draft, (*path, "first_date"), entry.first_date)
    last = _check_date(draft, (*path, "last_date"), entry.last_date)
    if first is not None and last is not None and first > last:
        draft.report((*path, "last_date"), show(entry.last_date), "a date not before first_date", "it would never hold")


def _check_date(draft: Draft, path: Path, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        draft.report(path, show(text), "a day of the calendar", str(error))
        return None
