"""The same world with nobody in control, stepped as fast as the machine likes, as status lines on standard output.

``python -m simulators.demo.other_world SITE SEED START_S DURATION_S``: it stays in the background (lowest priority),
so that the demo shows at every moment what would have happened without control.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from controller.config.loader import load_site
from simulators.scenario import load_scenario
from simulators.status import encode
from simulators.world import World

SAMPLE_S = 60.0
_NICEST = 19


def lines(world: World, duration_s: float) -> Iterator[dict[str, Any]]:
    """Status lines every :data:`SAMPLE_S` of the site, the last one marked ``final``."""
    while world.now_s < duration_s:
        world.step(min(SAMPLE_S, duration_s - world.now_s))
        final = {"final": True} if world.now_s >= duration_s else {}
        yield {"t_s": world.now_s, "truth": asdict(world.truth()), "score": world.score.to_dict(), **final}


def main(arguments: list[str]) -> None:
    """Command line of the module; the demo writes it."""
    path, seed, start_s, duration_s = Path(arguments[0]), int(arguments[1]), float(arguments[2]), float(arguments[3])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.nice(_NICEST)
    scenario = replace(load_scenario(path.stem), start_s=start_s)
    world = World(load_site(path), scenario, seed, controlled=False)
    for line in lines(world, duration_s):
        sys.stdout.buffer.write(encode(line))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
