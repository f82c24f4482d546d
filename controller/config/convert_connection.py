"""Connection agreement and statutory means from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

import math
from datetime import date

from controller.config.schema import SiteFile
from controller.config.schema_connection import CalendarModel, G100Model, MovesModel
from controller.domain.connection import ALL_DAYS, Calendar, CalendarCap, Connection, G100Settings, MeanBand, MoveLimits
from controller.domain.topology import Topology

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def to_connection(file: SiteFile, topology: Topology) -> Connection:
    """All of it in W, V and seconds."""
    limits = file.limits
    return Connection(
        g100=None if limits.g100 is None else _g100(limits.g100),
        caps=tuple(_cap(entry) for entry in limits.calendar),
        mean_bands=_mean_bands(file, topology),
        moves=_moves(file, limits.moves),
        instruction_s_max=file.control.instruction_h_max * 3600.0,
    )


def _g100(scheme: G100Model) -> G100Settings:
    return G100Settings(
        domestic=scheme.premises == "domestic",
        installers=frozenset(scheme.installers),
        lockout_export_w=_watts(scheme.lockout_export_kw),
        lockout_import_w=_watts(scheme.lockout_import_kw),
        meter_lost_s=scheme.meter_lost_s,
        reset_after_s=scheme.reset_after_h * 3600.0,
    )


def _watts(value_kw: float | None) -> float | None:
    return None if value_kw is None else value_kw * 1e3


def _cap(entry: CalendarModel) -> CalendarCap:
    subject = entry.unit or ("export" if entry.export_kw is not None else "import")
    value_kw = next(x for x in (entry.export_kw, entry.import_kw, entry.unit_kw) if x is not None)
    return CalendarCap(entry.id, subject, value_kw * 1e3, _calendar(entry))


def _calendar(entry: CalendarModel) -> Calendar:
    season = None
    if entry.season_from is not None and entry.season_to is not None:
        season = (_day_of_year(entry.season_from), _day_of_year(entry.season_to))
    return Calendar(
        days=frozenset(_DAYS.index(day) for day in entry.days) or ALL_DAYS,
        from_min=_minute(entry.from_time),
        to_min=_minute(entry.to_time),
        season=season,
        first=None if entry.first_date is None else date.fromisoformat(entry.first_date),
        last=None if entry.last_date is None else date.fromisoformat(entry.last_date),
    )


def _minute(text: str | None) -> int:
    return 0 if text is None else int(text[:2]) * 60 + int(text[3:])


def _day_of_year(text: str) -> tuple[int, int]:
    return int(text[:2]), int(text[3:])


def _mean_bands(file: SiteFile, topology: Topology) -> tuple[MeanBand, ...]:
    nominal_v = {bus.id: bus.u_rated_v for bus in topology.buses}
    return tuple(
        MeanBand(
            f"{bus}.voltage",
            nominal_v[bus] * (1.0 - band.mean_below_percent / 100.0),
            nominal_v[bus] * (1.0 + band.mean_above_percent / 100.0),
        )
        for band in file.limits.voltage
        if band.mean_below_percent is not None and band.mean_above_percent is not None
        for bus in band.buses
    )


def _moves(file: SiteFile, moves: MovesModel) -> MoveLimits:
    step = moves.voltage_step_percent
    ramps = tuple((u.id, u.release_kw_per_min * 1e3 / 60.0) for u in file.units if u.release_kw_per_min is not None)
    return MoveLimits(
        export_up_w_per_s=_per_s(moves.export_up_kw_per_min),
        export_down_w_per_s=_per_s(moves.export_down_kw_per_min),
        unit_w_per_s=ramps,
        voltage_step_frac=math.inf if step is None else step / 100.0,
    )


def _per_s(value_kw_per_min: float | None) -> float:
    return math.inf if value_kw_per_min is None else value_kw_per_min * 1e3 / 60.0
