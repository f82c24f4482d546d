"""The platform stand-in on a free port; its address is the one line that it prints."""

import asyncio
import sys
from pathlib import Path

from simulators.platform.stand_in import StandIn


async def serve() -> None:
    stand_in = StandIn(Path(sys.argv[1]))
    await stand_in.open()
    sys.stdout.write(stand_in.url + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(serve())
