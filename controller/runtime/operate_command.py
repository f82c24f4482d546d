"""``gridedge operate``: tell a running controller something, for a while, and print its answer."""

from __future__ import annotations

import json
import math
import re
import socket
from dataclasses import replace
from pathlib import Path

import click

from controller.clock import SystemClock
from controller.domain.instruction import EVERYTHING, INTERFACE, Action, Instruction, last_counter
from controller.runtime.instruction_wire import LINE_BYTES_MAX, write_instruction

RUN_FOLDER = Path("/run/gridedge")
"""Where services keep their sockets: ``<site>.operate``."""

_ANSWER_S = 35.0
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_FOR_S_MAX = 366 * 86_400.0
_ACT_S = 60.0  # how long an instruction that acts at once may be on its way


def duration(text: str) -> float:
    """``90s``, ``15m`` or ``2h`` in seconds; a usage error for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    if found is None:
        raise click.BadParameter(f"{text[:40]!r} is no duration; expected for example 90s, 15m or 2h")
    seconds = float(found[1]) * _UNITS_S[found[2]]
    if not 0.0 < seconds <= _FOR_S_MAX:
        raise click.BadParameter(f"{text[:40]!r} is out of range; expected more than 0 and at most a year")
    return seconds


FOR = click.option("--for", "for_s", type=duration, required=True, help="How long it holds: 90s, 15m, 2h.")
REASON = click.option("--reason", required=True, help="Why; kept in the records.")


@click.group()
@click.argument("where")
@click.pass_context
def operate(ctx: click.Context, where: str) -> None:
    """Tell the controller at WHERE what to do for a while.

    WHERE is the socket given to `gridedge run --operate-socket`, or the name of a site whose service runs here. Limits
    stand above everything said here; everything ends by itself. Exit status 0: accepted; 1: refused, with the reason.
    """
    path = Path(where)
    ctx.obj = path if path.exists() or "/" in where else RUN_FOLDER / f"{where}.operate"


@operate.command()
@click.argument("subject")
@click.option("--kw", type=float, help="For export, import or a unit: at most so much.")
@click.option("--a", "amps", type=float, help="For a line or transformer: at most so much per phase.")
@FOR
@REASON
@click.pass_obj
def limit(path: Path, subject: str, *, kw: float | None, amps: float | None, for_s: float, reason: str) -> None:
    """Narrow the limit of SUBJECT (export, import, a branch), or cap a unit."""
    if (kw is None) == (amps is None):
        raise click.UsageError("give --kw or --a, one of them")
    _say(path, Action.LIMIT, subject, for_s, reason, value=kw * 1e3 if kw is not None else amps)


@operate.command()
@click.argument("unit")
@click.option("--generation-kw", type=float, help="Generate so much (battery: discharge).")
@click.option("--consumption-kw", type=float, help="Take so much (battery: charge).")
@click.option("--kvar", type=float, help="Reactive power; positive absorbs.")
@FOR
@REASON
@click.pass_obj
def override(
    path: Path,
    unit: str,
    *,
    generation_kw: float | None,
    consumption_kw: float | None,
    kvar: float | None,
    for_s: float,
    reason: str,
) -> None:
    """Give UNIT a set point, inside every limit."""
    if (generation_kw is None) == (consumption_kw is None):
        raise click.UsageError("give --generation-kw or --consumption-kw, one of them")
    p_kw = consumption_kw if consumption_kw is not None else 0.0 - (generation_kw or 0.0)
    q_var = None if kvar is None else kvar * 1e3
    _say(path, Action.OVERRIDE, unit, for_s, reason, value=p_kw * 1e3, q_var=q_var)


@operate.command()
@click.option("--absorb-kvar", type=float, help="Draw so much from the upstream network (lowers its voltage).")
@click.option("--inject-kvar", type=float, help="Give so much to the upstream network (raises its voltage).")
@FOR
@REASON
@click.pass_obj
def reactive(path: Path, *, absorb_kvar: float | None, inject_kvar: float | None, for_s: float, reason: str) -> None:
    """Voltage support: bring the reactive power at the interface to a value, inside every limit.

    The answer says how much of it can be had now, and what is in the way of the rest. No active power is given up for
    it.
    """
    if (absorb_kvar is None) == (inject_kvar is None):
        raise click.UsageError("give --absorb-kvar or --inject-kvar, one of them")
    kvar = absorb_kvar if absorb_kvar is not None else 0.0 - (inject_kvar or 0.0)
    _say(path, Action.REACTIVE, INTERFACE, for_s, reason, q_var=kvar * 1e3)


@operate.command()
@click.argument("unit")
@FOR
@REASON
@click.pass_obj
def block(path: Path, unit: str, *, for_s: float, reason: str) -> None:
    """Keep UNIT at a standstill."""
    _say(path, Action.BLOCK, unit, for_s, reason)


@operate.command()
@click.argument("unit", default=EVERYTHING)
@FOR
@REASON
@click.pass_obj
def hold(path: Path, unit: str, *, for_s: float, reason: str) -> None:
    """Let no set point relax, of UNIT or of all; limits still tighten."""
    _say(path, Action.HOLD, unit, for_s, reason)


@operate.command()
@click.argument("subject")
@REASON
@click.pass_obj
def release(path: Path, subject: str, *, reason: str) -> None:
    """End what was said about SUBJECT, or the instruction of that id, or all."""
    _say(path, Action.RELEASE, subject, _ACT_S, reason)


@operate.command("reset-g100")
@click.argument("direction", type=click.Choice(["export", "import", EVERYTHING]), default=EVERYTHING)
@REASON
@click.pass_obj
def reset_g100(path: Path, *, direction: str, reason: str) -> None:
    """End a lock-out of the G100 scheme, if you may."""
    _say(path, Action.RESET_G100, direction, _ACT_S, reason)


@operate.command("reset-trips")
@click.argument("unit", default=EVERYTHING)
@REASON
@click.pass_obj
def reset_trips(path: Path, unit: str, *, reason: str) -> None:
    """Let UNIT, or all that the escalation ladder has tripped or isolated, run again."""
    _say(path, Action.RESET_TRIPS, unit, _ACT_S, reason)


def _say(
    path: Path,
    action: Action,
    subject: str,
    for_s: float,
    reason: str,
    *,
    value: float | None = None,
    q_var: float | None = None,
) -> None:
    """Send one instruction and print the answer."""
    now_s = SystemClock().utc().timestamp()
    counter = int(now_s * 1e6)
    for stated in (value, q_var):
        if stated is not None and not math.isfinite(stated):
            raise click.UsageError(f"{stated} is not a finite number")
    number = math.nan if value is None else value
    asked = Instruction(f"{action.value}-{counter}", "", counter, now_s, for_s, action, subject, number, q_var, reason)
    accepted, text = exchange(path, asked)
    if not accepted and (used := last_counter(text)) is not None:  # the machine's clock was ahead, and is back
        asked = replace(asked, id=f"{action.value}-{used + 1}", counter=used + 1)
        accepted, text = exchange(path, asked)
    click.echo(f"{asked.id}: {'accepted' if accepted else 'refused'}: {text}", err=not accepted)
    raise SystemExit(0 if accepted else 1)


def exchange(path: Path, asked: Instruction) -> tuple[bool, str]:
    """The controller's answer. Raises ClickException when nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_ANSWER_S)
            peer.connect(str(path))
            peer.sendall(write_instruction(asked))
            with peer.makefile("rb") as lines:
                answer = json.loads(lines.readline(4 * LINE_BYTES_MAX) or b"null")
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: {error}; is the controller running with --operate-socket?") from error
    if not isinstance(answer, dict):
        raise click.ClickException(f"{path}: hung up without an answer")
    return bool(answer.get("accepted")), str(answer.get("text"))
