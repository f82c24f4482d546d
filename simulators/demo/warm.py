"""A ``gridedge`` process that has loaded its libraries and waits for its command line: a JSON list on standard input.

``python -m simulators.demo.warm MODULE …`` imports the modules first. At 144 × a second of imports is two and a half
minutes of the site, in which nobody would be in control and nobody would trade.
"""

from __future__ import annotations

import importlib
import json
import sys

from controller.cli import main


def wait_and_run(modules: list[str]) -> None:
    """Load, wait, run; ends without a word when nobody wants it any more."""
    for module in modules:
        importlib.import_module(module)
    if line := sys.stdin.readline():
        main(json.loads(line))


if __name__ == "__main__":
    wait_and_run(sys.argv[1:])
