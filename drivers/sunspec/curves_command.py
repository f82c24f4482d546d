"""``gridedge curves``: the curves of a SunSpec inverter, and another one in place of one of them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import click

from drivers.modbus.codec import ExceptionAnswer, write_registers
from drivers.modbus.endpoint import Endpoint
from drivers.scan.address import ADDRESS, certificate_options, options_of, parse_endpoint
from drivers.scan.modbus import curve_data, walked
from drivers.scan.probe import NoAnswerError, Probe, TimeIsUpError
from drivers.sunspec.adopt import COMPLETED, FAILED, CurveError, CurvePlan, plan_curve
from drivers.sunspec.chain import ModelAt
from drivers.sunspec.curves import CURVE_MODELS, Curve, read_curve

MODBUS_PORT = 502
ADOPT_WITHIN_S, ASK_AGAIN_S = 30.0, 0.5
Corners = tuple[tuple[float, float], ...]


@click.command()
@click.argument("address", metavar=ADDRESS)
@click.option("--unit", default=1, show_default=True, type=click.IntRange(0, 255), help="Modbus unit id.")
@click.option(
    "--set",
    "wanted",
    type=(click.Choice([str(number) for number in CURVE_MODELS]), str),
    metavar="MODEL CORNERS",
    help="Adopt another curve, such as 705 '92:44 98:0 102:0 108:-44' (percent of the model).",
)
@click.option("--enable", is_flag=True, help="With --set: enable the function of the model too.")
@click.option("--yes-write", is_flag=True, help="With --set: write; without it, only say what would be written.")
@certificate_options
@click.option("--timeout-s", default=1.0, show_default=True, type=click.FloatRange(0.05, 10), help="For one answer.")
def curves(
    address: str,
    *,
    unit: int,
    wanted: tuple[str, str] | None,
    enable: bool,
    yes_write: bool,
    timeout_s: float,
    **certificates: Path | str | None,
) -> None:
    """Show the volt-var (705), volt-watt (706) and watt-var (712) curves in force in a SunSpec inverter, or change one.

    ADDRESS is HOST or HOST:PORT, or an endpoint as in a site file: modbus+tls://HOST (with certificates),
    rtu+tcp://HOST:PORT, rtu:///dev/ttyUSB0?baud=9600&parity=N.

    A new curve is written beside the one in force, read back, adopted, and read again: exit status 0 says that it is in
    force. It stays until somebody adopts another; nothing makes it revert. Stop the controller first: many inverters
    take one connection only.
    """
    endpoint = parse_endpoint(address, MODBUS_PORT)
    files = options_of(endpoint, certificates)
    corners = None if wanted is None else (int(wanted[0]), parse_corners(wanted[1]))
    try:
        done = asyncio.run(_on_inverter(endpoint, files, unit, timeout_s, corners, enable=enable, write=yes_write))
    except (NoAnswerError, CurveError, ExceptionAnswer) as fault:
        raise click.ClickException(f"{address}, unit {unit}: {fault}") from fault
    except TimeIsUpError as fault:
        raise click.ClickException(f"{address}, unit {unit}: time is up") from fault
    sys.exit(0 if done else 1)


def parse_corners(text: str) -> Corners:
    """Corners from ``92:44 98:0``; click.BadParameter for anything else."""
    found = []
    for part in text.split():
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?):(-?\d+(?:\.\d+)?)", part)
        if match is None:
            raise click.BadParameter(f"{part!r}; expected corners such as 92:44 98:0 102:0 108:-44", param_hint="--set")
        found.append((float(match[1]), float(match[2])))
    return tuple(found)


async def _on_inverter(
    endpoint: Endpoint,
    files: Mapping[str, str],
    unit: int,
    timeout_s: float,
    wanted: tuple[int, Corners] | None,
    *,
    enable: bool,
    write: bool,
) -> bool:
    until_s = asyncio.get_running_loop().time() + 120.0
    probe = Probe(endpoint, files, timeout_s=timeout_s, pause_s=0.02, until_s=until_s)
    try:
        await probe.connect()
        walk = await walked(probe, unit)
        if walk.chain is None:
            raise CurveError(walk.fault)
        models = {at.id: at for at in walk.chain.models if at.id in CURVE_MODELS}
        inverter = Inverter(probe, unit)
        if wanted is None:
            for at in models.values():
                click.echo(_shown(at.id, await inverter.curve(at)))
            if not models:
                click.echo("the inverter has none of the models 705, 706 and 712")
            return bool(models)
        if wanted[0] not in models:
            raise CurveError(f"the inverter has no model {wanted[0]}")
        return await inverter.adopt(models[wanted[0]], wanted[1], enable=enable, write=write)
    finally:
        await probe.aclose()


class Inverter:
    """One unit, and its curves."""

    def __init__(self, probe: Probe, unit: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._probe = probe
        self._unit = unit
        self._sleep = sleep

    async def curve(self, at: ModelAt) -> Curve | None:
        """The curve in force."""
        return read_curve(at.id, await curve_data(self._probe, self._unit, at))

    async def adopt(self, at: ModelAt, corners: Corners, *, enable: bool, write: bool) -> bool:
        """Bring ``corners`` into force; False, and a line that says why, when they are not in the end.

        Raises :class:`CurveError` before anything is adopted, NoAnswerError and ExceptionAnswer at any time: what was
        not adopted has no effect.
        """
        data = await curve_data(self._probe, self._unit, at)
        plan = plan_curve(at.id, data, corners)
        click.echo("in force: " + _shown(at.id, read_curve(at.id, data)))
        if not write:
            said = "; ".join(f"{at.address + offset}: {words.hex(' ', 2).upper()}" for offset, words in plan.writes)
            click.echo(f"would write curve {plan.index} ({said}) and adopt it; nothing was written (--yes-write)")
            return False
        await self._put(at, plan)
        try:
            found = await self._adopted(at, plan, corners)
        except (NoAnswerError, ExceptionAnswer) as fault:
            raise NoAnswerError(
                f"{fault}; whether curve {plan.index} is in force now is not known, ask again"
            ) from fault
        if found is not None and enable:
            await self._write(at.address + plan.enable_at, b"\0\1")
            found = await self.curve(at)
        click.echo("in force: " + _shown(at.id, found if found is not None else await self.curve(at)))
        return found is not None and (found.enabled or not enable)

    async def _put(self, at: ModelAt, plan: CurvePlan) -> None:
        """Write the curve that is to be adopted, and see that it is there."""
        for offset, words in plan.writes:
            await self._write(at.address + offset, words)
        data = await curve_data(self._probe, self._unit, at)
        for offset, words in plan.writes:
            if data[2 * offset : 2 * offset + len(words)] != words:
                raise CurveError(f"the inverter holds something else at {at.address + offset} than was written")

    async def _adopted(self, at: ModelAt, plan: CurvePlan, corners: Corners) -> Curve | None:
        """Ask for the curve and wait until it is in force; None, and a line that says why, when it is not.

        A result may still be that of an earlier request, so what counts is the curve, and a refusal only when it stays.
        """
        await self._write(at.address + plan.request_at, plan.index.to_bytes(2, "big"))
        refusals = 0
        for _ in range(round(ADOPT_WITHIN_S / ASK_AGAIN_S)):
            result = int.from_bytes(await self._probe.registers(self._unit, 3, at.address + plan.result_at, 1), "big")
            found = await self.curve(at)
            if result == COMPLETED and found is not None and _same(found.corners, corners, plan.steps):
                return found
            refusals = refusals + 1 if result == FAILED else 0
            if refusals > 1:
                click.echo(f"the inverter refused to adopt curve {plan.index}")
                return None
            await self._sleep(ASK_AGAIN_S)
        click.echo(f"curve {plan.index} is not in force {ADOPT_WITHIN_S:g} s after it was asked for")
        return None

    async def _write(self, address: int, words: bytes) -> None:
        """One write, never repeated."""
        request = write_registers(self._unit, address, words)
        answer = await self._probe.ask(self._unit, request.pdu)
        if answer != request.answer_head:
            raise NoAnswerError(f"{answer.hex(' ')} acknowledges a write of {request.answer_head.hex(' ')}")


def _same(found: Corners, wanted: Corners, steps: tuple[float, ...]) -> bool:
    """True when they are the same as far as registers can say it."""
    return len(found) == len(wanted) and all(
        abs(a - b) <= 0.501 * step
        for one, other in zip(found, wanted, strict=True)
        for a, b, step in zip(one, other, steps, strict=True)
    )


def _shown(model_id: int, curve: Curve | None) -> str:
    if curve is None:
        return f"{model_id}: does not hold together"
    corners = " ".join(f"{x:g}:{y:g}" for x, y in curve.corners) or "no corners"
    return f"{model_id} {'enabled' if curve.enabled else 'not enabled'}: {corners}"
