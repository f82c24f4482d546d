"""How fast a month without a link is drained, and how old live data gets meanwhile.

    python benchmarks/outbox_drain.py [--days 30] [--points 120] [--link-kb-per-s 100]

Fills a store on the disk with one period a minute, then drains it over a link of the given speed and 50 ms of delay
while a new period is stored every second (sixty times the usual rate). Waiting for the link is computed, not waited
for; the store's own work is real.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

from controller.balancing.outbox import OutboxPolicy
from controller.history.batch import Batch, Curtailment, Sample
from controller.history.store import FILE, Store

SHARE = 0.2
PACKET_BYTES = 20_000
DELAY_S = 0.05


def period(number: int, points: int) -> Batch:
    """A minute whose numbers do not compress well."""
    noise = [math.fmod(math.sin(number * 12.9898 + k * 78.233) * 43758.5453, 1.0) for k in range(points)]
    samples = tuple(Sample(f"unit.U{k}.p_w", 60, -1e6 * x, -1.1e6 * x, -0.9e6 * x) for k, x in enumerate(noise))
    return Batch(60 * number, 60, samples, (), (Curtailment("U1", "T1.thermal", "merit", 1, 12.5, 1e5, 60.0, 0.99),))


def drain(store: Store, points: int, number: int, rate_bytes_per_s: float) -> tuple[int, float, float, float]:
    """(messages, seconds of the link, seconds of the store, oldest live data in s) until nothing waits."""
    boundary = store.outbox.newest_id()
    clock_s = work_s = oldest_s = budget = 0.0
    next_live_s, born_s, sent = 1.0, dict[int, float](), 0
    while True:
        began = time.perf_counter()
        while next_live_s <= clock_s:
            store.append(period(number, points))
            born_s[store.outbox.newest_id()] = next_live_s
            number, next_live_s = number + 1, next_live_s + 1.0
        live = store.outbox.after(boundary, PACKET_BYTES)
        turn = not live and budget >= PACKET_BYTES
        late = store.outbox.up_to(boundary, PACKET_BYTES) if turn else []
        packet = live or late
        store.acknowledged([m.id for m in packet])
        spent_s = time.perf_counter() - began
        takes_s = DELAY_S + sum(len(m.body) for m in packet) / rate_bytes_per_s if packet else 0.0
        if not packet:
            takes_s = max((PACKET_BYTES - budget) / (SHARE * rate_bytes_per_s), 1e-3)
        work_s, clock_s = work_s + spent_s, clock_s + spent_s + takes_s
        budget = min(budget + SHARE * rate_bytes_per_s * (spent_s + takes_s), PACKET_BYTES)
        budget -= PACKET_BYTES if late else 0
        oldest_s = max([oldest_s, *(clock_s - born_s[m.id] for m in live if m.id in born_s)])
        sent += len(packet)
        if turn and not late:
            return sent, clock_s, work_s, oldest_s


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--points", type=int, default=120)
    parser.add_argument("--link-kb-per-s", type=float, default=100.0)
    options = parser.parse_args()
    minutes = round(options.days * 1440)
    with tempfile.TemporaryDirectory(prefix="gridedge-drain-") as folder:
        store = Store(Path(folder), "drain", OutboxPolicy())
        began = time.perf_counter()
        for number in range(minutes):
            store.append(period(number, options.points))
        filled_s = time.perf_counter() - began
        waiting, used = store.outbox.count(), store.outbox.used_bytes()
        size = (Path(folder) / FILE).stat().st_size
        sent, link_s, work_s, oldest_s = drain(store, options.points, minutes, 1e3 * options.link_kb_per_s)
        store.close()
    print(f"{minutes} periods of {options.points} points stored: {1e3 * filled_s / minutes:.2f} ms each, synced")
    print(f"{waiting} messages, {used / 1e6:.1f} MB in the outbox, file {size / 1e6:.0f} MB")
    print(
        f"drained {sent} messages in {link_s / 3600:.2f} h, {SHARE:.0%} of {options.link_kb_per_s:g} kB/s for backlog"
    )
    print(f"the store itself: {sent / work_s:.0f} messages/s; oldest live data {oldest_s:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
