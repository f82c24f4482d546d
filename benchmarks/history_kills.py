"""Kill the keeper of the history at random instants: nothing acknowledged is lost, nothing arrives twice.

    python benchmarks/history_kills.py [--kills 1000] [--seed 1]

A child stores one period after the other and sends every message of its outbox to this process, the platform, which
keeps each key once and says that it has it. After every SIGKILL the next child goes on with the same file. Exit status
1 when a period that was said to be stored is missing or there twice, when the platform misses a message, has one twice
in spite of its key or out of order, or when the file is damaged.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from controller.history.batch import Batch, Curtailment, Happening, Sample
from controller.history.chain import verify
from controller.history.store import Store, curtailments, open_to_read

POINTS = 40
LIFE_S = (0.0, 0.12)  # of a child after its first word
PATIENCE_S = 30.0


def period(number: int) -> Batch:
    """The ``number``-th minute."""
    samples = tuple(Sample(f"unit.U{k}.p_w", 60, number + k, number - 1.0, number + 1.0) for k in range(POINTS))
    given = (Curtailment("PVA", "T1.thermal", "merit", 1, float(number), 1e5, 60.0, 0.99),)
    return Batch(60 * number, 60, samples, (Happening(60.0 * number, "limit.bound", "T1.thermal", ""),), given)


def child(folder: Path) -> None:
    """Store, say so, send, wait for the answer, forget; for ever."""
    store = Store(folder, "kills")
    known_s = store.known_until_s()
    number = 0 if known_s is None else round(known_s) // 60
    while True:
        store.append(period(number))
        say(f"stored {number}")
        number += 1
        packet = store.outbox.up_to(store.outbox.newest_id(), 4_000)
        for message in packet:
            say(f"sent {message.id} {message.key}")
            sys.stdin.readline()
        store.acknowledged([message.id for message in packet])


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Platform:
    """What has arrived, each key once and in the order of arrival, and what was said to be stored."""

    stored: list[int] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    faults: list[str] = field(default_factory=list)

    def hear(self, line: str) -> bool:
        """Take a line; True when it asks for an answer."""
        kind, *rest = line.split()
        if kind == "stored":
            self.stored.append(int(rest[0]))
            return False
        number, key = int(rest[0]), rest[1]
        if key in self.keys:
            self.repeated += 1
            if self.keys[key] != number:
                self.faults.append(f"{key} has two numbers, {self.keys[key]} and {number}")
        self.keys[key] = number
        return True


def live(folder: Path, platform: Platform, life_s: float) -> None:
    """One child, killed ``life_s`` after its first word."""
    arguments = [sys.executable, __file__, "--child", str(folder)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the child has no pipes")
        rest, ends_s = b"", time.monotonic() + PATIENCE_S
        begun = False
        while (left_s := ends_s - time.monotonic()) > 0.0:
            if not select.select([process.stdout], [], [], left_s)[0]:
                break
            lines = (rest + os.read(process.stdout.fileno(), 65536)).split(b"\n")
            rest = lines.pop()
            if not lines:
                raise RuntimeError(f"the child ended by itself with status {process.wait()}")
            if not begun:
                begun, ends_s = True, time.monotonic() + life_s
            for line in lines:
                if platform.hear(line.decode()):
                    process.stdin.write(b"\n")
        process.send_signal(signal.SIGKILL)
        for line in (rest + process.stdout.read()).split(b"\n")[:-1]:
            platform.hear(line.decode())


def faults(folder: Path, platform: Platform) -> list[str]:
    """What is not as it was promised, after the last child: the rest of the outbox is delivered here."""
    found = list(platform.faults)
    store = Store(folder, "kills")
    while packet := store.outbox.up_to(store.outbox.newest_id(), 1 << 20):
        for message in packet:
            platform.hear(f"sent {message.id} {message.key}")
        store.acknowledged([message.id for message in packet])
    store.close()
    with closing(open_to_read(folder)) as db:
        kept = [(start // 60, part) for start, part in db.execute("SELECT start_utc_s, part FROM period ORDER BY 1, 2")]
        if kept != [(number, 0) for number in range(len(kept))]:
            found.append("a period is missing or there twice")
        if not set(platform.stored) <= {number for number, _ in kept}:
            found.append("a period that was acknowledged is missing")
        if db.execute("SELECT count(*) FROM sample").fetchone() != (POINTS * len(kept),):
            found.append("a period is not whole")
        (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        chain = verify(curtailments(db))
        found += [f"the file is damaged: {verdict}"] if verdict != "ok" else []
        found += [chain.fault] if chain.fault else []
    expected = {
        f"kills/{60 * n}/0/{topic}" for n in range(len(kept)) for topic in ("curtailments", "events", "samples")
    }
    if set(platform.keys) != expected:
        found.append(f"the platform misses {sorted(expected - set(platform.keys))[:3]}")
    numbers = list(platform.keys.values())
    for topic in ("curtailments", "events", "samples"):
        numbers = [number for key, number in platform.keys.items() if key.endswith(topic)]
        found += [f"{topic} arrived out of order"] if numbers != sorted(numbers) else []
    return found


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child)
    lives, platform = random.Random(options.seed), Platform()
    with tempfile.TemporaryDirectory(prefix="gridedge-kills-") as folder:
        for _ in range(options.kills):
            live(Path(folder), platform, lives.uniform(*LIFE_S))
        found = faults(Path(folder), platform)
    print(
        f"{options.kills} kills, seed {options.seed}: {len(platform.stored)} periods acknowledged, "
        f"{len(platform.keys)} messages delivered, {platform.repeated} of them repeated and told apart by their key"
    )
    print("\n".join(found) or "0 lost, 0 doubled, in order, file whole, chain unbroken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
