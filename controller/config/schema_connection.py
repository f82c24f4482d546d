"""Site file, section ``limits``: what the connection agreement and the statutes ask for beyond fixed limits."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import Name, Strict, about, name, number, text

_TIME = (r"^([01][0-9]|2[0-3]):[0-5][0-9]$", 'a time of day in quotes: "16:00"')
_DAY_OF_YEAR = (r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", 'a month and day in quotes: "11-01"')
_DATE = (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a date YYYY-MM-DD")


class G100Model(Strict):
    """Export and import limitation scheme of EREC G100 Issue 2, for `export_kw` and `import_kw`.

    An excursion of 15 s counts. It locks out after 60 s, after a second one within 10 minutes, or after more than three
    within 24 hours. Locked out, every unit that pushes in that direction stays at its fail-safe set point until
    `gridedge operate SITE reset-g100`.
    """

    premises: Literal["commercial", "domestic"] = about(
        "Who may reset a lock-out: domestic, the user, three times in 30 days; commercial, anybody after reset_after_h."
    )
    installers: tuple[Name, ...] = about("Accounts of this machine that may reset at any time.", ())
    lockout_export_kw: float | None = number(
        "kW", 0, 10_000_000, "Export limit while locked out; left out: the units' fail-safe set points alone.", None
    )
    lockout_import_kw: float | None = number(
        "kW", 0, 10_000_000, "Import limit while locked out; left out: the units' fail-safe set points alone.", None
    )
    meter_lost_s: float = number(
        "seconds", 1, 60, "How long the point of supply may be unmeasured (5 s: usual in tests, not verified).", 5.0
    )
    reset_after_h: float = number("hours", 0.1, 168, "Lock-out of commercial premises before anybody may reset.", 4.0)


class CalendarModel(Strict):
    """A contract limit that holds at times, in local time of the site; give one of the three powers.

    Without a key about time it always holds. While the time of day is unknown it holds too.
    """

    id: str = name("Name of the entry, shown as the cause.")
    export_kw: float | None = number(
        "kW", 0, 10_000_000, "Most export; at most limits.export_kw, which must exist.", None
    )
    import_kw: float | None = number(
        "kW", 0, 10_000_000, "Most import; at most limits.import_kw, which must exist.", None
    )
    unit: str | None = name("Unit that is capped.", None)
    unit_kw: float | None = number("kW", 0, 10_000_000, "Most that the unit may do; of a battery both ways.", None)
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = about(
        "Days on which it begins; left out: every day.", ()
    )
    from_time: str | None = text(_TIME[1], _TIME[0], "When it begins.", None)
    to_time: str | None = text(_TIME[1], _TIME[0], "When it ends; before from_time: on the next day.", None)
    season_from: str | None = text(_DAY_OF_YEAR[1], _DAY_OF_YEAR[0], "First day of the season.", None)
    season_to: str | None = text(_DAY_OF_YEAR[1], _DAY_OF_YEAR[0], "Last day of the season.", None)
    first_date: str | None = text(_DATE[1], _DATE[0], "First day on which it begins.", None)
    last_date: str | None = text(_DATE[1], _DATE[0], "Last day on which it begins.", None)


class MovesModel(Strict):
    """How fast the controller itself may move things. A move that a limit needs is never slowed by it."""

    export_up_kw_per_min: float | None = number("kW/min", 0.1, 10_000_000, "Rise of export.", None)
    export_down_kw_per_min: float | None = number("kW/min", 0.1, 10_000_000, "Fall of export.", None)
    voltage_step_percent: float | None = number(
        "percent", 0.1, 10, "Change of any limited bus voltage within a minute (EREC P28: 3), of nominal.", None
    )
