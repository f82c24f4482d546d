"""One Python client of the Modbus measurement; ``modbus_poll.py`` starts it.

    modbus_client.py ours|pymodbus PORT N ROUNDS [PERIOD_MS]

N connections to 127.0.0.1, 127.0.0.2, …; a round polls each one once, and is over when every value is decoded and
checked. Prints CPU microseconds per poll, and the median and the longest round in microseconds.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from controller.runtime.event_loop import precise_loop
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import Fleet
from drivers.modbus.lines import Lines
from drivers.modbus.reading import PolledReading
from drivers.profile import Profile
from drivers.profile_loader import parse_profile

POINTS = 30
Round = Callable[[], Awaitable[None]]


def table(identity: str = "{}") -> Profile:
    """30 float32 in 60 holding registers, each with a plausible range; point k holds the number k."""
    lines = "\n".join(f"  x{n}: {{at: {2 * n}, low: -1000, high: 1000}}" for n in range(POINTS))
    head = "id: bench\nkind: meter\ntitle: Bench\nprotocol: modbus\nsource: none\nidentity: " + identity + "\n"
    return parse_profile(head + 'defaults: {type: float32, unit: "1", ref: none}\npoints:\n' + lines, "bench")


def host(index: int) -> str:
    """A loopback address of its own for every device, so that each has its own connection."""
    return f"127.0.{(index + 1) // 256}.{(index + 1) % 256}"


@asynccontextmanager
async def ours(port: int, count: int) -> AsyncIterator[Round]:
    """The driver, as the control process uses it."""
    clock, profile = SystemClock(), table()
    lines = Lines(clock)
    devices = [
        ModbusDevice(
            Device(f"D{n}", "modbus", f"{host(n)}:{port}", 1, profile.id, {}, None, 0.1, 0.3, 2.0),
            profile,
            clock,
            lines=lines,
        )
        for n in range(count)
    ]
    left = 0
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def take(readings: Mapping[str, Mapping[str, Measurement]]) -> None:
        nonlocal left
        for reading in readings.values():
            if not (isinstance(reading, PolledReading) and reading.all_good and reading["x29"].value == 29.0):
                raise SystemExit("ours: a wrong value")
        left -= len(readings)
        if not left:
            done.set_result(None)

    for device in devices:
        await device.poll()
    fleet = Fleet(devices, clock, take)
    async with asyncio.TaskGroup() as group:

        async def one_round() -> None:
            nonlocal left, done
            left, done = count, loop.create_future()
            fleet.tick(group)
            await done

        yield one_round
    for device in devices:
        await device.aclose()


@asynccontextmanager
async def theirs(port: int, count: int) -> AsyncIterator[Round]:
    """pymodbus, as its documentation says."""
    from pymodbus.client import AsyncModbusTcpClient

    clients = [AsyncModbusTcpClient(host(n), port=port) for n in range(count)]
    for client in clients:
        await client.connect()

    async def poll(client: AsyncModbusTcpClient) -> None:
        answer = await client.read_holding_registers(0, count=2 * POINTS, device_id=1)
        values = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
        if not isinstance(values, list) or values[-1] != 29.0:
            raise SystemExit("pymodbus: a wrong value")
        if not all(-1000.0 <= value <= 1000.0 for value in values if isinstance(value, float)):
            raise SystemExit("pymodbus: an implausible value")

    async def one_round() -> None:
        await asyncio.gather(*(poll(client) for client in clients))

    yield one_round
    for client in clients:
        client.close()


def cpu_us() -> float:
    """CPU time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


async def measure(name: str, port: int, count: int, rounds: int, period_s: float) -> None:
    """Print CPU per poll, median and longest round."""
    async with {"ours": ours, "pymodbus": theirs}[name](port, count) as one_round:
        await one_round()
        gc.collect()
        gc.freeze()
        loop = asyncio.get_running_loop()
        laps: list[float] = []
        began, due = cpu_us(), loop.time()
        for _ in range(rounds):
            due = due + period_s if period_s else loop.time()
            if period_s:
                await asyncio.sleep(due - loop.time())
            await one_round()
            laps.append(1e6 * (loop.time() - due))
        spent = cpu_us() - began
    laps.sort()
    print(f"{spent / rounds / count:.3f} {laps[rounds // 2]:.1f} {laps[-1]:.1f}")


if __name__ == "__main__":
    period_s = float(sys.argv[5]) / 1e3 if len(sys.argv) > 5 else 0.0
    with asyncio.Runner(loop_factory=precise_loop) as runner:  # as the control process does
        runner.run(measure(sys.argv[1], *map(int, sys.argv[2:5]), period_s))
