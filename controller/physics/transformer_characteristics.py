"""Recommended thermal characteristics by kind of cooling, and the temperatures that loading may reach.

Every number here is a default that a nameplate, a heat-run report or a site file may replace.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from controller.physics.transformer_thermal import ThermalParameters

MINUTE_S = 60.0


class Cooling(Enum):
    """Kinds of cooling of the table of recommended characteristics in IEC 60076-7:2018."""

    DISTRIBUTION = "distribution"  # ONAN, small
    ONAN_RESTRICTED = "onan_restricted"
    ONAN = "onan"
    ONAF_RESTRICTED = "onaf_restricted"
    ONAF = "onaf"
    OF_RESTRICTED = "of_restricted"
    OF = "of"
    OD = "od"


@dataclass(frozen=True, slots=True)
class Characteristics:
    """One column of that table. ``confirmed`` says which values were found in a second public source."""

    oil_exponent: float
    winding_exponent: float
    k11: float
    k21: float
    k22: float
    tau_oil_s: float
    tau_winding_s: float
    confirmed: bool


# Distribution, ONAN and ONAF: as in transformer-thermal-model 0.6.0 (PyPI). OF and OD: k11, k21, k22 and time
# constants as in AS 60076.7-2013 table 5; their exponents, and the restricted columns, have no second source:
# check them against the standard before a limit depends on them.
CHARACTERISTICS: dict[Cooling, Characteristics] = {
    Cooling.DISTRIBUTION: Characteristics(0.8, 1.6, 1.0, 1.0, 2.0, 180 * MINUTE_S, 4 * MINUTE_S, confirmed=True),
    Cooling.ONAN_RESTRICTED: Characteristics(0.8, 1.3, 0.5, 3.0, 2.0, 210 * MINUTE_S, 10 * MINUTE_S, confirmed=False),
    Cooling.ONAN: Characteristics(0.8, 1.3, 0.5, 2.0, 2.0, 210 * MINUTE_S, 10 * MINUTE_S, confirmed=True),
    Cooling.ONAF_RESTRICTED: Characteristics(0.8, 1.3, 0.5, 3.0, 2.0, 150 * MINUTE_S, 7 * MINUTE_S, confirmed=False),
    Cooling.ONAF: Characteristics(0.8, 1.3, 0.5, 2.0, 2.0, 150 * MINUTE_S, 7 * MINUTE_S, confirmed=True),
    Cooling.OF_RESTRICTED: Characteristics(1.0, 1.3, 1.0, 1.45, 1.0, 90 * MINUTE_S, 7 * MINUTE_S, confirmed=False),
    Cooling.OF: Characteristics(1.0, 1.3, 1.0, 1.3, 1.0, 90 * MINUTE_S, 7 * MINUTE_S, confirmed=False),
    Cooling.OD: Characteristics(1.0, 2.0, 1.0, 1.0, 1.0, 90 * MINUTE_S, 7 * MINUTE_S, confirmed=False),
}


def default_parameters(
    cooling: Cooling, loss_ratio: float, top_oil_rise_k: float = 60.0, hot_spot_gradient_k: float | None = None
) -> ThermalParameters:
    """Parameters of a transformer without a heat-run report.

    60 K top-oil rise; H·gr of 1.2 · 23 K (distribution) or 1.3 · 17 K (power): the defaults of
    transformer-thermal-model 0.6.0, without that library's surcharge for a closed room.
    """
    column = CHARACTERISTICS[cooling]
    if hot_spot_gradient_k is None:
        hot_spot_gradient_k = 1.2 * 23.0 if cooling is Cooling.DISTRIBUTION else 1.3 * 17.0
    return ThermalParameters(
        top_oil_rise_k=top_oil_rise_k,
        hot_spot_gradient_k=hot_spot_gradient_k,
        loss_ratio=loss_ratio,
        oil_exponent=column.oil_exponent,
        winding_exponent=column.winding_exponent,
        k11=column.k11,
        k21=column.k21,
        k22=column.k22,
        tau_oil_s=column.tau_oil_s,
        tau_winding_s=column.tau_winding_s,
    )


@dataclass(frozen=True, slots=True)
class LoadingLimits:
    """What loading may reach: hot-spot and top-oil temperature, and current as a fraction of rated."""

    hot_spot_c_max: float
    top_oil_c_max: float
    load_pu_max: float


# IEC 60076-7 clause 7 for medium power transformers (up to 100 MVA), as given by the documentation of
# transformer-thermal-model (temperature_limits.md).
NORMAL_CYCLIC = LoadingLimits(hot_spot_c_max=120.0, top_oil_c_max=105.0, load_pu_max=1.5)
LONG_TIME_EMERGENCY = LoadingLimits(hot_spot_c_max=140.0, top_oil_c_max=115.0, load_pu_max=1.5)
