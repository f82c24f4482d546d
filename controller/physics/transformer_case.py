"""A transformer, a course of load and ambient, and the temperatures that follow: the file form of ``gridedge thermal``.

Files speak minutes and the symbols of IEC 60076-7; inside are seconds and the house's names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from controller.documents import DocumentError, as_number, between, block, in_range, items, number, numbers, shown, text
from controller.physics.transformer_ageing import Paper, ageing_rate, loss_of_life_s
from controller.physics.transformer_characteristics import CHARACTERISTICS, Characteristics, Cooling
from controller.physics.transformer_thermal import (
    ThermalParameters,
    ThermalState,
    cold_state,
    difference_step,
    state_at_top_oil,
    steady_state,
    step,
    with_measured_top_oil,
)

MINUTE_S = 60.0
DAY_S = 86400.0
T_MIN_MAX = 1e9
LOAD_PU_MAX = 10.0
AMBIENT_C = (-100.0, 100.0)
TOP_OIL_C = (-100.0, 300.0)
HOT_SPOT_C = (-200.0, 1000.0)
"""Beyond it the ageing formulas say nothing, and the parameters are not those of a transformer."""
PARAMETER_MAX = {
    "delta_theta_or_K": 300.0,
    "delta_theta_hr_K": 300.0,
    "hot_spot_factor_H": 5.0,
    "gradient_gr_K": 100.0,
    "R": 1e5,
    "x": 3.0,
    "y": 3.0,
    "k11": 20.0,
    "k21": 20.0,
    "k22": 20.0,
    "tau_o_min": 1e5,
    "tau_w_min": 1e5,
}
SURCHARGE_K_MAX = 60.0


@dataclass(frozen=True, slots=True)
class TransformerCase:
    """What is to be computed. Load and ambient at index i act over the step that ends at ``t_s[i]``.

    ``measured_top_oil_c[i]``, where there is one, is the top oil then; only the rise over it is computed.
    """

    parameters: ThermalParameters
    initial: ThermalState
    t_s: tuple[float, ...]
    load_pu: tuple[float, ...]
    ambient_c: tuple[float, ...]
    differences: bool = False
    measured_top_oil_c: tuple[float | None, ...] = ()


def read_series(document: Mapping[str, Any]) -> TransformerCase:
    """The case of a file with ``parameters`` and ``inputs`` (``t_min``, ``load_pu``, ``ambient_C``).

    ``inputs`` may have a measured ``top_oil_C``, null where nothing was measured.
    Without a stated initial state it is the steady state at the first load and ambient. Raises ``DocumentError``.
    """
    inputs = block(document, "inputs")
    t_min = _within(inputs, "t_min", -T_MIN_MAX, T_MIN_MAX)
    load_pu = _course(inputs, "load_pu", len(t_min), -LOAD_PU_MAX, LOAD_PU_MAX)
    parameters, ambient_surcharge_k = read_parameters(document)
    ambient_c = tuple(value + ambient_surcharge_k for value in _course(inputs, "ambient_C", len(t_min), *AMBIENT_C))
    for i, (earlier, later) in enumerate(pairwise(t_min)):
        if later <= earlier:
            raise DocumentError(f"inputs.t_min[{i + 1}] is {later:g}; expected after t_min[{i}], {earlier:g}")
    initial = _initial(document, parameters, load_pu[0], ambient_c[0])
    t_s = tuple(value * MINUTE_S for value in t_min)
    differences, oil_c = _differences(document), _measured(inputs, len(t_min))
    return TransformerCase(parameters, initial, t_s, load_pu, ambient_c, differences, oil_c)


def read_steps(document: Mapping[str, Any]) -> TransformerCase:
    """The case of a file with ``steps`` of load at one ambient temperature, as in the standard's example.

    ``ambient_C`` and ``initial_top_oil_rise_K`` are keys of the file or, as in the published example, numbers in its
    ``description``. Raises ``DocumentError``.
    """
    steps = [_step(item, i) for i, item in enumerate(items(document, "steps"))]
    for i in range(1, len(steps)):
        if steps[i][0] != steps[i - 1][1]:
            raise DocumentError(
                f"steps[{i}].t_from_min is {steps[i][0]:g}; expected {steps[i - 1][1]:g}, where the last ends"
            )
    parameters, ambient_surcharge_k = read_parameters(document)
    ambient_c = ambient_surcharge_k + in_range(
        _stated(document, "ambient_C", r"ambient ([-+]?\d+(?:\.\d+)?) degC"), "ambient_C", *AMBIENT_C
    )
    rise_k = in_range(
        _stated(document, "initial_top_oil_rise_K", r"initial top-oil rise ([-+]?\d+(?:\.\d+)?) K"),
        "initial_top_oil_rise_K",
        *TOP_OIL_C,
    )
    t_s = (steps[0][0] * MINUTE_S, *(t_to_min * MINUTE_S for _, t_to_min, _ in steps))
    load_pu = (steps[0][2], *(load for _, _, load in steps))
    return TransformerCase(parameters, state_at_top_oil(ambient_c + rise_k), t_s, load_pu, (ambient_c,) * len(t_s))


def read_parameters(document: Mapping[str, Any]) -> tuple[ThermalParameters, float]:
    """Thermal parameters, and the kelvins to add to every ambient temperature.

    What the file leaves out comes from the recommended characteristics of its ``transformer_type`` or ``cooling``. A
    surcharge for a closed room warms the air around a power transformer; for a distribution transformer it is part of
    the top-oil rise (the convention of transformer-thermal-model, in which such files are written).
    """
    given = block(document, "parameters")
    where = "parameters."
    cooling = _cooling(document)
    column = CHARACTERISTICS[cooling] if cooling is not None else None
    surcharge_k = 0.0
    if "ambient_surcharge_K" in given:
        surcharge_k = between(given, "ambient_surcharge_K", 0.0, SURCHARGE_K_MAX, where)
    in_oil = cooling is Cooling.DISTRIBUTION
    try:
        parameters = ThermalParameters(
            top_oil_rise_k=_parameter(given, "delta_theta_or_K") + (surcharge_k if in_oil else 0.0),
            hot_spot_gradient_k=_hot_spot_gradient_k(given),
            loss_ratio=_loss_ratio(given),
            oil_exponent=_recommended(given, "x", column, "oil_exponent"),
            winding_exponent=_recommended(given, "y", column, "winding_exponent"),
            k11=_recommended(given, "k11", column, "k11"),
            k21=_recommended(given, "k21", column, "k21"),
            k22=_recommended(given, "k22", column, "k22"),
            tau_oil_s=_recommended(given, "tau_o_min", column, "tau_oil_s", MINUTE_S),
            tau_winding_s=_recommended(given, "tau_w_min", column, "tau_winding_s", MINUTE_S),
        )
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(f"parameters: {error}") from error
    return parameters, 0.0 if in_oil else surcharge_k


def states(case: TransformerCase) -> list[ThermalState]:
    """The state at every instant of the case."""
    advance = difference_step if case.differences else step
    out = [_as_measured(case, 0, case.initial)]
    for i in range(1, len(case.t_s)):
        dt_s = case.t_s[i] - case.t_s[i - 1]
        ahead = advance(case.parameters, out[-1], case.load_pu[i], case.ambient_c[i], dt_s)
        out.append(_as_measured(case, i, ahead))
    return out


def _as_measured(case: TransformerCase, i: int, state: ThermalState) -> ThermalState:
    """The state with the oil that was measured at index i, if it was. Raises DocumentError for what no oil survives."""
    oil_c = case.measured_top_oil_c[i] if case.measured_top_oil_c else None
    found = state if oil_c is None else with_measured_top_oil(state, oil_c)
    in_range(found.hot_spot_c, f"the hot spot (°C) at {case.t_s[i] / MINUTE_S:g} min", *HOT_SPOT_C)
    return found


def results(case: TransformerCase) -> dict[str, Any]:
    """Temperatures and ageing of a case, in the files' units and names."""
    course = states(case)
    hot_c = [state.hot_spot_c for state in course]
    oil_c = [state.top_oil_c for state in course]
    dt_s = [later - earlier for earlier, later in pairwise(case.t_s)]
    upgraded = [ageing_rate(Paper.UPGRADED, t_c) for t_c in hot_c]
    lost_min = (rate * step_s / MINUTE_S for rate, step_s in zip(upgraded[1:], dt_s, strict=True))
    return {
        "top_oil_C": oil_c,
        "hot_spot_C": hot_c,
        "max_top_oil_C": max(oil_c),
        "max_hot_spot_C": max(hot_c),
        "t_max_hot_spot_min": case.t_s[hot_c.index(max(hot_c))] / MINUTE_S,
        "ageing_days_normal": loss_of_life_s(Paper.NORMAL, hot_c[1:], dt_s) / DAY_S,
        "ageing_days_upgraded": loss_of_life_s(Paper.UPGRADED, hot_c[1:], dt_s) / DAY_S,
        "ageing_rate_last_normal": ageing_rate(Paper.NORMAL, hot_c[-1]),
        "ageing_rate_last_upgraded": upgraded[-1],
        "V_upgraded": upgraded,
        "loss_of_life_min": list(accumulate(lost_min, initial=0.0)),
        **_exact(case),
    }


def _exact(case: TransformerCase) -> dict[str, Any]:
    """What the exact solution says of a case that asks for the difference equations."""
    if not case.differences:
        return {}
    course = states(replace(case, differences=False))
    exact = {"top_oil_C": [state.top_oil_c for state in course], "hot_spot_C": [state.hot_spot_c for state in course]}
    return {"expected_exact_exponential": exact}


def _within(inputs: Mapping[str, Any], key: str, low: float, high: float) -> tuple[float, ...]:
    """A list of numbers in a range."""
    values = numbers(inputs, key, "inputs.")
    return tuple(in_range(value, f"inputs.{key}[{i}]", low, high) for i, value in enumerate(values))


def _course(inputs: Mapping[str, Any], key: str, count: int, low: float, high: float) -> tuple[float, ...]:
    """A list as long as the time axis, or one number for all of it."""
    if not isinstance(inputs.get(key), list):
        return (between(inputs, key, low, high, "inputs."),) * count
    values = _within(inputs, key, low, high)
    if len(values) != count:
        raise DocumentError(f"inputs.{key} has {len(values)} values; expected {count}, as many as inputs.t_min")
    return values


def _measured(inputs: Mapping[str, Any], count: int) -> tuple[float | None, ...]:
    """Top oil as it was measured, null where it was not; empty when the file has none."""
    if "top_oil_C" not in inputs:
        return ()
    values = items(inputs, "top_oil_C", "inputs.")
    if len(values) != count:
        raise DocumentError(f"inputs.top_oil_C has {len(values)} values; expected {count}, as many as inputs.t_min")
    names = [f"inputs.top_oil_C[{i}]" for i in range(count)]
    return tuple(
        None if value is None else in_range(as_number(value, name), name, *TOP_OIL_C)
        for value, name in zip(values, names, strict=True)
    )


def _step(item: Any, i: int) -> tuple[float, float, float]:
    if not isinstance(item, Mapping):
        raise DocumentError(f"steps[{i}] is {shown(item)}; expected an object")
    where = f"steps[{i}]."
    t_from_min, t_to_min = (between(item, key, -T_MIN_MAX, T_MIN_MAX, where) for key in ("t_from_min", "t_to_min"))
    if t_to_min <= t_from_min:
        raise DocumentError(f"{where}t_to_min is {t_to_min}; expected after t_from_min, {t_from_min}")
    return t_from_min, t_to_min, between(item, "load_pu", -LOAD_PU_MAX, LOAD_PU_MAX, where)


def _stated(document: Mapping[str, Any], key: str, pattern: str) -> float:
    """A number under its own key or, failing that, in the words of the description."""
    if key in document:
        return number(document, key)
    found = re.search(pattern, str(document.get("description", "")))
    if found is None:
        raise DocumentError(f"{key} is missing, and the description does not state it either")
    return as_number(float(found.group(1)), key)


def _cooling(document: Mapping[str, Any]) -> Cooling | None:
    known = {cooling.value: cooling for cooling in Cooling}
    for key in ("transformer_type", "cooling"):
        name = str(document.get(key, "")).lower().removesuffix("_power").replace(" ", "_")
        if name in known:
            return known[name]
    return None


def _initial(
    document: Mapping[str, Any], parameters: ThermalParameters, load_pu: float, ambient_c: float
) -> ThermalState:
    conventions = document.get("conventions", {})
    if not isinstance(conventions, Mapping) or "initial" not in conventions:
        return steady_state(parameters, load_pu, ambient_c)
    where = "conventions.initial."
    initial = block(conventions, "initial", "conventions.")
    kind = text(initial, "kind", where)
    if kind == "cold":
        return cold_state(ambient_c)
    if kind == "load_pu":
        return steady_state(parameters, between(initial, "value", -LOAD_PU_MAX, LOAD_PU_MAX, where), ambient_c)
    if kind == "top_oil_C":
        return state_at_top_oil(between(initial, "value", *TOP_OIL_C, where))
    raise DocumentError(f"{where}kind is {shown(kind)}; expected cold, load_pu or top_oil_C")


def _differences(document: Mapping[str, Any]) -> bool:
    """Whether the file asks for the standard's difference equations instead of the exact solution."""
    if "method" not in document:
        return "forward euler" in str(document.get("description", "")).lower()
    method = text(document, "method")
    if method not in ("exact", "difference"):
        raise DocumentError(f"method is {shown(method)}; expected exact or difference")
    return method == "difference"


def _parameter(given: Mapping[str, Any], key: str) -> float:
    """A stated parameter; that it is above 0 is checked where it is used."""
    return between(given, key, 0.0, PARAMETER_MAX[key], "parameters.")


def _hot_spot_gradient_k(given: Mapping[str, Any]) -> float:
    """H·gr, stated as one number or as two."""
    if "delta_theta_hr_K" in given:
        return _parameter(given, "delta_theta_hr_K")
    return _parameter(given, "hot_spot_factor_H") * _parameter(given, "gradient_gr_K")


def _loss_ratio(given: Mapping[str, Any]) -> float:
    """R, stated or from the two losses."""
    if "R" in given:
        return _parameter(given, "R")
    no_load_w = number(given, "no_load_loss_W", "parameters.")
    if no_load_w <= 0.0:
        raise DocumentError(f"parameters.no_load_loss_W is {no_load_w}; expected above 0")
    ratio = number(given, "load_loss_W", "parameters.") / no_load_w
    return in_range(ratio, "parameters.load_loss_W over no_load_loss_W", 0.0, PARAMETER_MAX["R"])


def _recommended(
    given: Mapping[str, Any], key: str, column: Characteristics | None, name: str, scale: float = 1.0
) -> float:
    """The file's value in SI, or the recommended one of its kind of cooling."""
    if key in given:
        return _parameter(given, key) * scale
    if column is None:
        known = ", ".join(cooling.value for cooling in Cooling)
        raise DocumentError(f"parameters.{key} is missing; expected it, or a transformer_type or cooling of {known}")
    return float(getattr(column, name))
