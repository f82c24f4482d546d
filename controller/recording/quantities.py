"""Values as people say them, by the unit in their name."""

from __future__ import annotations

from controller.recording.codec import Tree

_UNITS = {"w": "W", "var": "var", "v": "V", "a": "A", "s": "s", "c": "°C", "eur": "EUR", "wh": "Wh", "va": "VA"}
_SCALED = ("W", "var", "V", "A", "Wh", "VA")


def quantity(name: str, value: Tree) -> str:
    """``-3.2 MW`` for ``p_w`` -3.2e6, ``99.81 %`` for ``loading_frac``; what has no unit as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _plain(value)
    suffix = name.rsplit("_", 1)[-1]
    if suffix == "frac":
        return f"{100.0 * value:.2f} %"
    return scaled(float(value), _UNITS[suffix]) if suffix in _UNITS else f"{value:.6g}"


def scaled(value: float, unit: str) -> str:
    """With four digits and the prefix that fits: ``-812.5 kW``, ``0 W``."""
    if unit not in _SCALED:
        return f"{value:.4g} {unit}"
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.99995 * factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"


def _plain(value: Tree) -> str:
    if value is None or value in ([], ""):
        return "nothing"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, dict):
        return " ".join(str(item) for item in value.values() if item not in ("", None))
    return str(value)
