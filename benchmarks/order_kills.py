"""Kill the station at random instants of the exchange of orders: none executed twice, no acknowledged one lost.

    python benchmarks/order_kills.py [--kills 1000] [--seed 1] [--path openadr] [--path uftp] [--path national]

For each path so many processes die by SIGKILL, some of them with a clock that is an hour wrong, is set by an hour, or
with a disk that fills up. The judges are those who gave the orders and who got them. Exit status 1 when anything was
not as it was promised.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from orders.mortal import hush
from orders.national_path import kill_national
from orders.openadr_path import kill_openadr
from orders.uftp_path import kill_uftp

PATHS = {"openadr": kill_openadr, "uftp": kill_uftp, "national": kill_national}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--path", choices=PATHS, action="append")
    options = parser.parse_args()
    failed = False
    hush()
    for name in options.path or PATHS:
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="gridedge-kills-") as folder:
            summary, faults = asyncio.run(PATHS[name](Path(folder), options.kills, options.seed))
        print(f"{summary}. Seed {options.seed}, {time.monotonic() - began_s:.0f} s.")
        print("\n".join(faults) or "0 lost, 0 executed twice, in order")
        failed = failed or bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
