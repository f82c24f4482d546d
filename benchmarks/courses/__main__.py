"""Write courses: ``PYTHONPATH=benchmarks python -m courses [NAME ...] [--out out/courses]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .catalogue import CATALOGUE, build


def main() -> None:
    """Write the named courses, or all of them."""
    parser = argparse.ArgumentParser(description="Write network courses.")
    parser.add_argument("names", nargs="*", default=list(CATALOGUE))
    parser.add_argument("--out", type=Path, default=Path("out/courses"))
    args = parser.parse_args()
    for name in args.names:
        print(build(name).write(args.out))


main()
