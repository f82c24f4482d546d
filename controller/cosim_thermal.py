"""What a co-simulated network says about warming up, where it says anything: optional blocks, SI, other keys ignored.

- ``transformers[].thermal``: names of :class:`~controller.domain.thermal.TransformerThermal`; what is left out comes
  from the cooling class (``cooling``, default ``onan``) and the losses. ``load_pu_max`` above 1 lets a cold one carry
  more than ``s_max_va``.
- ``lines[].cable`` and ``lines[].overhead``: names of :class:`~controller.domain.thermal.CableThermal` and
  :class:`~controller.domain.thermal.Overhead`.
- ``ratings`` of any branch: a list of ``{name, months | first_day and last_day ("05-01"), i_max_a}``.
- ``weather`` of the network: ``ambient_c`` (a number, or twelve, January first), ``wind_m_per_s``, ``wind_angle_deg``,
  ``solar_w_per_m2``; ``timezone`` for seasons. A measurement message may carry ``utc_s`` and the points
  ``branch.<id>.top_oil_c``, ``branch.<id>.hot_spot_c``, ``ambient.temp_c``, ``ambient.wind_m_per_s`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from controller.documents import as_number, items, number, text
from controller.domain.limit import Limit, LimitKind
from controller.domain.thermal import MONTHS, CableThermal, DesignWeather, Overhead, Season, TransformerThermal
from controller.domain.topology import Branch, Transformer
from controller.physics.transformer_characteristics import Cooling, default_parameters
from controller.physics.transformer_thermal import ThermalParameters

Json = Mapping[str, Any]
T = TypeVar("T", Overhead, CableThermal, DesignWeather, TransformerThermal)

LOSS_RATIO_MAX = 1000.0
LAST_DAY_OF_ANY_MONTH = 31
USUAL_CABLE = {"rated_c": 90.0, "emergency_c": 90.0, "ambient_c": 20.0}


def transformer_thermal(item: Json) -> TransformerThermal | None:
    """The ``thermal`` block of a transformer. Raises ``ValueError`` naming the key."""
    block = item.get("thermal")
    if block is None:
        return None
    cooling = str(block.get("cooling", item.get("cooling", "onan"))).lower()
    if cooling not in {kind.value for kind in Cooling}:
        raise ValueError(f"transformers[{item['id']}].thermal.cooling is {cooling!r}; expected a cooling class")
    p0_w, pk_w = float(item["p0_w"]), float(item["pk_w"])
    ratio = LOSS_RATIO_MAX if p0_w * LOSS_RATIO_MAX <= pk_w else max(pk_w / p0_w, 1.0 / LOSS_RATIO_MAX)
    usual = default_parameters(Cooling(cooling), ratio)
    recommended = {x.name: getattr(usual, x.name) for x in fields(ThermalParameters)}
    paper = {"upgraded_paper": str(block.get("paper", "normal")) == "upgraded"}
    return _made(TransformerThermal, {**recommended, **block, **paper}, f"transformers[{item['id']}].thermal.")


def overhead(item: Json) -> Overhead | None:
    """The ``overhead`` block of a line."""
    block = item.get("overhead")
    return None if block is None else _made(Overhead, block, f"lines[{item['id']}].overhead.")


def cable(item: Json) -> CableThermal | None:
    """The ``cable`` block of a line."""
    block = item.get("cable")
    return None if block is None else _made(CableThermal, {**USUAL_CABLE, **block}, f"lines[{item['id']}].cable.")


def weather(network: Json) -> DesignWeather:
    """The ``weather`` block of the network; the usual one without it."""
    block = dict(network.get("weather", {}))
    ambient = block.pop("ambient_c", 30.0)
    months = ambient if isinstance(ambient, list) else [ambient] * MONTHS
    if len(months) != MONTHS:
        raise ValueError(f"weather.ambient_c has {len(months)} values; expected one, or {MONTHS}")
    made = _made(DesignWeather, block, "weather.")
    months_c = tuple(as_number(value, f"weather.ambient_c[{k}]") for k, value in enumerate(months))
    return DesignWeather(months_c, made.wind_m_per_s, made.wind_angle_deg, made.solar_w_per_m2)


def thermal_limit(branch: Branch, item: Json) -> Limit:
    """The limit of one branch: static, or between the lowest rating and the highest that anything may allow."""
    static_a, highest_a = branch.i_max_a, max(branch.i_max_a, _short_time_a(branch))
    where = f"{branch.id}.ratings"
    seasons = [_season(x, f"{where}[{k}].") for k, x in enumerate(items(item, "ratings"))] if "ratings" in item else []
    if seasons:
        seasons.append(Season(branch.id, (), static_a))
    highest_a = max([highest_a, *(x.rated_a for x in seasons)])
    rated_a = min([static_a, *(x.rated_a for x in seasons)])
    rated = rated_a if rated_a < highest_a else None
    return Limit(f"{branch.id}.thermal", LimitKind.THERMAL, branch.id, highest_a, rated=rated, seasons=tuple(seasons))


def _short_time_a(branch: Branch) -> float:
    if isinstance(branch, Transformer):
        return 0.0 if branch.thermal is None else branch.thermal.load_pu_max * branch.i_rated_a
    models = [x for x in (branch.overhead, branch.cable) if x is not None]
    return max((x.load_pu_max * branch.i_max_a for x in models), default=0.0)


def _season(item: Json, where: str) -> Season:
    spans = [((int(month), 1), (int(month), LAST_DAY_OF_ANY_MONTH)) for month in item.get("months", ())]
    if "first_day" in item:
        spans.append((_day(item, "first_day", where), _day(item, "last_day", where)))
    if not spans:
        raise ValueError(f"{where[:-1]} has neither months nor first_day; expected one of them")
    return Season(text(item, "name", where), tuple(spans), number(item, "i_max_a", where))


def _day(item: Json, key: str, where: str) -> tuple[int, int]:
    month, _, day = text(item, key, where).partition("-")
    if not (month.isdigit() and day.isdigit()):
        raise ValueError(f"{where}{key} is {item[key]!r}; expected month and day, such as 05-01")
    return int(month), int(day)


def _made(kind: type[T], block: Json, where: str) -> T:
    """The dataclass from the keys that it knows; numbers are checked, truth values taken, None left to the default."""
    known = {x.name for x in fields(kind)}
    given = {k: v for k, v in block.items() if k in known and v is not None}
    numbers: dict[str, Any] = {k: v if isinstance(v, bool) else as_number(v, f"{where}{k}") for k, v in given.items()}
    if "circuits" in numbers:
        numbers["circuits"] = int(numbers["circuits"])
    try:
        return kind(**numbers)
    except TypeError as error:
        raise ValueError(f"{where[:-1]}: {error}") from error
