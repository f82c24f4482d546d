"""Names of the quantities that the controller knows, the same in site files, snapshots, records and co-simulation.

A point is ``<element>.<id>.<quantity>``; the quantity ends in its unit. ``interface`` has no id: it is the sum over
the transformers, at their upstream side. Neither has ``ambient``, the weather at the site.
"""

from __future__ import annotations

BUS_QUANTITIES = ("u_v",)
BRANCH_QUANTITIES = ("i_a", "p_w", "q_var")
INTERFACE_QUANTITIES = ("p_w", "q_var")
HUB_QUANTITIES = ("vehicles", "wanted_wh")
"""How many vehicles are plugged in, and how much energy they want."""
UNIT_QUANTITIES = ("p_w", "q_var", "p_avail_w", "soc_frac", "state", *HUB_QUANTITIES)
TRANSFORMER_EXTRA = ("top_oil_c", "hot_spot_c", "ambient_c", "tap_pos")
AMBIENT_QUANTITIES = ("temp_c", "wind_m_per_s", "wind_deg", "solar_w_per_m2")


def bus(bus_id: str, quantity: str = "u_v") -> str:
    """Point of a bus, for example ``bus.BB.u_v`` (line-to-line rms volts)."""
    return f"bus.{bus_id}.{quantity}"


def branch(branch_id: str, quantity: str) -> str:
    """Point of a line (measured at its from end) or a transformer (measured at its lower-voltage side)."""
    return f"branch.{branch_id}.{quantity}"


def unit(unit_id: str, quantity: str) -> str:
    """Point of a unit, at its terminals, load convention."""
    return f"unit.{unit_id}.{quantity}"


def interface(quantity: str) -> str:
    """Point of the connection to the upstream network; positive = import."""
    return f"interface.{quantity}"


def ambient(quantity: str) -> str:
    """Point of the weather: air temperature, wind speed, where the wind comes from, irradiance on the horizontal."""
    return f"ambient.{quantity}"
