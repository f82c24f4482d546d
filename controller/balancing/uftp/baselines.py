"""What a participant would have done: fixed by the time it is ordered, whatever it says afterwards. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from controller.balancing.uftp.values import Day, Order, Powers


def baseline_by_isp(
    day: Day, said: Sequence[tuple[float, Powers]], orders: Iterable[tuple[float, Order]] = ()
) -> dict[int, float]:
    """W by ISP of a day, from its D-Prognoses (when each came, oldest first) and its orders (when each was sent).

    Of each ISP the newest D-Prognosis counts that was here before the ISP was first ordered; where none was, the first
    one after that. What comes when the ISP has begun counts for nothing. A revision moves no baseline of what is
    ordered or past: who has sold a change, or knows what came, could write himself the delivery. ISPs of which nothing
    was said in time are not there.
    """
    ordered_s: dict[int, float] = {}
    for at_s, order in orders:
        ordered_s |= {isp: min(at_s, ordered_s.get(isp, math.inf)) for isp in order.power_w}
    out = {}
    for isp in range(1, day.isps + 1):
        before_begin = [(at_s, one) for at_s, one in said if at_s <= day.isp_start_utc_s(isp)]
        before_order = [one for at_s, one in before_begin if at_s <= ordered_s.get(isp, math.inf)]
        if before_begin:
            out[isp] = (before_order[-1] if before_order else before_begin[0][1])[isp]
    return out
