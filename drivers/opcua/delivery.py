"""Whether a device's values are asked for at every poll or reported by the server: by what each costs. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

Delivery = Literal["auto", "read", "subscription"]
DELIVERIES: Final = get_args(Delivery)

READ_VALUES_PER_S_MAX = 500.0
"""Above this a server is asked to report instead of being asked: it then sends what changed, and nothing is requested.

A read costs the server a look at every node at every poll and the line twice the bytes; a subscription costs it a
place of its few, and makes an age less exact. At a few hundred values a second neither is felt, so the exact one is
taken.
"""
INTERVAL_S_MAX = 1.0
"""Slowest subscription; a slower poll is a read, whose age is exact."""
INTERVAL_S_MIN = 0.05


def wants_subscription(delivery: str, points: int, interval_s: float, sampling_s_min: float) -> bool:
    """True when to subscribe; ``interval_s`` (machine seconds) is the poll period, ``sampling_s_min`` the server's.

    ``auto`` subscribes to many values at a pace that the server can hold.
    """
    if delivery != "auto":
        return delivery == "subscription"
    in_reach = max(INTERVAL_S_MIN, sampling_s_min) <= interval_s <= INTERVAL_S_MAX
    return in_reach and points / interval_s > READ_VALUES_PER_S_MAX
