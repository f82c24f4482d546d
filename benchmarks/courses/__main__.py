"""Write courses, and compute their optima: ``PYTHONPATH=benchmarks python -m courses [NAME ...] [--optimum]``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .catalogue import CATALOGUE, build, known
from .optima import store, stored
from .optimum import optimise
from .problem import load_problem


def main() -> None:
    """Write the named courses or all of them; with ``--optimum``, compute what is not yet stored for their content."""
    parser = argparse.ArgumentParser(description="Write network courses and compute their optima.")
    parser.add_argument("names", nargs="*", help="courses of the catalogue, varied-SEED, or directories")
    parser.add_argument("--out", type=Path, default=Path("out/courses"))
    parser.add_argument("--optimum", action="store_true")
    args = parser.parse_args()
    for name in args.names or CATALOGUE:
        folder = build(name).write(args.out) if known(name) else Path(name)
        print(folder, flush=True)
        if args.optimum and not stored(folder):
            started = time.monotonic()
            _, bill = optimise(load_problem(folder), log=True)
            store(folder, bill)
            took_s = time.monotonic() - started
            print(f"  {took_s:.0f} s, J {bill['J_eur']:.4f} EUR, curtailed {bill['curtailed_mwh']:.4f} MWh")


main()
