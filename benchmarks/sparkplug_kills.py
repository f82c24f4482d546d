"""Kill the station and the broker at random instants: the host gets every stored period, in order, none is missing.

    python benchmarks/sparkplug_kills.py [--kills 30] [--seed 1]

A `gridedge station` with a period of one second sends to a real Mosquitto, to which a Sparkplug host application
listens; every other kill takes the broker. The host refuses a message whose number is not the next. Exit status 1 when
a period that the store has did not arrive, or arrived out of order. Needs Mosquitto.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "socket"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "balancing"))

import aiomqtt
from mosquitto_kit import MOSQUITTO, Broker, HostApplication
from sparkplug_kit import SITE, record

from controller.history.store import open_to_read
from controller.runtime.record_socket import RecordSocket

ROOT = Path(__file__).resolve().parents[1]
LIFE_S = (0.0, 6.0)
DOWN_S = (0.0, 1.5)
PATIENCE_S = 60.0
BLOCK = """
sparkplug: {{host: 127.0.0.1, port: {port}, tls: false, group: fleet, node: demo, primary_host: scada, settle_s: 5}}
"""


async def listen(host: HostApplication) -> None:
    """Be the primary host, again and again, whenever the broker is there."""
    while True:
        with contextlib.suppress(aiomqtt.MqttError):
            async with host.listening() as there:
                await there.gone()
        await asyncio.sleep(0.1)


async def speak(records: RecordSocket) -> None:
    """The control process's part: ten records a second."""
    seq = 0
    while True:
        seq += 1
        records.put(json.dumps(record(seq, utc=datetime.now(UTC).isoformat())).encode() + b"\n")
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def tasks(*work: asyncio.Task[None]) -> AsyncIterator[None]:
    """Run until the end of the block; what went wrong in one of them is raised."""
    try:
        yield
        for task in work:
            if task.done():
                task.result()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def station(folder: Path) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "controller", "station", str(folder / "site.yaml"), "--period", "1")
    files = ("--record-socket", str(folder / "records"), "--data", str(folder / "data"))
    with (folder / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(*command, *files, stderr=log, cwd=ROOT)


def stored(folder: Path) -> list[str]:
    """Keys of the periods that are on the disk, oldest first."""
    with closing(open_to_read(folder / "data")) as db:
        rows = db.execute("SELECT start_utc_s, part FROM period ORDER BY start_utc_s, part").fetchall()
    return [f"{SITE.name}/{start_s}/{part}/samples" for start_s, part in rows]


def samples(keys: list[str]) -> list[tuple[int, ...]]:
    return [tuple(int(part) for part in key.split("/")[1:3]) for key in keys if key.endswith("/samples")]


async def run(folder: Path, kills: int, seed: int) -> int:
    chance, broker = random.Random(seed), Broker(folder)
    (folder / "site.yaml").write_text(
        (ROOT / "site_configs" / "demo_primary.yaml").read_text("utf-8") + BLOCK.format(port=broker.port), "utf-8"
    )
    await broker.start()
    host, records = HostApplication(broker.port), RecordSocket(folder / "records")
    await records.open()
    process = await station(folder)
    async with tasks(asyncio.create_task(listen(host)), asyncio.create_task(speak(records))):
        for number in range(kills):
            await asyncio.sleep(chance.uniform(*LIFE_S))
            if number % 2:
                await broker.kill()
                await asyncio.sleep(chance.uniform(*DOWN_S))
                await broker.start()
            else:
                process.kill()
                await process.wait()
                process = await station(folder)
        missing = await last_words(host, process, folder)
    await broker.kill()
    await records.aclose()
    return verdict(host, folder, kills, seed, missing)


async def last_words(host: HostApplication, process: asyncio.subprocess.Process, folder: Path) -> set[str]:
    """What did not arrive although there was time, and the station ended in good order."""
    wanted = set(stored(folder))
    for _ in range(int(PATIENCE_S / 0.1)):
        if wanted <= {*host.keys(late=True), *host.keys(late=False)}:
            break
        await asyncio.sleep(0.1)
    process.terminate()
    await process.wait()
    return wanted - {*host.keys(late=True), *host.keys(late=False)}


def verdict(host: HostApplication, folder: Path, kills: int, seed: int, missing: set[str]) -> int:
    late, live = samples(host.keys(late=True)), samples(host.keys(late=False))
    told = [name for name, *_ in (*host.host.late, *host.host.told)].count("Stored/key")
    distinct = len({*host.keys(late=True), *host.keys(late=False)})
    print(f"seed {seed}, {kills} kills, {len(stored(folder))} periods stored, {host.host.kinds.count('NBIRTH')} births")
    print(f"{distinct} messages arrived, {told - distinct} of them once more with the same key; {len(missing)} missing")
    in_order = late == sorted(late) and live == sorted(live)
    print("in order of first arrival" if in_order else "OUT OF ORDER")
    return 0 if in_order and not missing else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if MOSQUITTO is None:
        print("Mosquitto is not installed (Debian package mosquitto): not measured")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder), given.kills, given.seed))


if __name__ == "__main__":
    sys.exit(main())
