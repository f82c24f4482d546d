"""``gridedge unplug``: pulls a plug of the running demo, or breaks something otherwise, and puts it back."""

from __future__ import annotations

import json
import socket
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from simulators.demo.journal import FAULT_WORDS
from simulators.demo.plugs import PLUGS
from simulators.faults import FaultKind

SOCKETS = "gridedge-demo-*/status"
"""Where a demo listens, below the folder for temporary files."""
_ANSWER_S = 10.0
_HOW = {
    "unplug": FaultKind.SILENT, "kill": FaultKind.KILLED, "freeze": FaultKind.FROZEN, "deafen": FaultKind.DEAF,
    "open": FaultKind.OPEN,
}  # fmt: skip
_PROCESS_WORDS = {FaultKind.SILENT: "{} is off", FaultKind.KILLED: "{} is killed, and starts again"}


class NotThere(click.ClickException):
    """No simulator to talk to."""


@click.command()
@click.argument("device", required=False)
@click.option(
    "--how", type=click.Choice(list(_HOW)), default="unplug", show_default=True,
    help="unplug: no answers; kill: no answers ever again (controller and station: they die and are started again); "
    "freeze: the last values repeat; deafen: commands are acknowledged and not obeyed; open: the breaker of a branch.",
)  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Of the site; left out: until --back.")
@click.option("--back", is_flag=True, help="Put it back: end whatever is wrong with it, but for a device's death.")
@click.option(
    "--socket", "path", type=click.Path(path_type=Path),
    help="Status socket of `gridedge simulate`; left out: that of the demo that was started last.",
)  # fmt: skip
def unplug(device: str | None, *, how: str, minutes: float | None, back: bool, path: Path | None) -> None:
    """Pull the plug of DEVICE, and watch what becomes of the substation.

    DEVICE is a device or a unit of the running demo, a branch whose breaker is to open (`--how open`), or `controller`
    (the box), `station`, `platform` (the market and everybody on it). Without DEVICE, lists what there is to pull.
    """
    status = path or _newest()
    with ExitStack() as opened:
        talks = [opened.enter_context(closing(_connected(each))) for each in _sockets(status)]
        listed = [(row, talk) for talk in talks for row in _asked(talk, {"devices": True})["devices"]]
        if device is None:
            _show([row for row, _ in listed])
            return
        talk = next((talk for row, talk in listed if row["device"] == device), talks[0])
        field = talk is talks[0]
        if back:
            name = _asked(talk, {"mend": device})["device"]
            click.echo(f"{name} is well again" if field else f"{name} is put back")
            return
        kind = _HOW[how]
        lasts = {} if minutes is None else {"for_s": minutes * 60.0}
        name = _asked(talk, {"fault": kind.value, "device": device} | lasts)["device"]
        words = FAULT_WORDS[kind] if field else _PROCESS_WORDS[kind]
        click.echo(words.format(name) + (f" for {minutes:g} min" if minutes else ""))


def _sockets(status: Path) -> list[Path]:
    """Where the field's plugs are pulled, and those of box and platform, where there are any."""
    own = status.with_name(PLUGS)
    return [status, *([own] if own.exists() else [])]


def _newest() -> Path:
    """The socket of the demo that was started last."""
    folders = {Path(tempfile.gettempdir()), Path("/tmp")}  # where a demo looks for a short name
    found = [path for folder in folders for path in folder.glob(SOCKETS)]
    if not found:
        raise NotThere("no demo is running on this machine; expected one (make demo), or --socket")
    return max(found, key=lambda path: path.stat().st_mtime)


def _connected(path: Path) -> socket.socket:
    talk = socket.socket(socket.AF_UNIX)
    talk.settimeout(_ANSWER_S)
    try:
        talk.connect(str(path))
    except OSError as error:
        talk.close()
        raise NotThere(f"nobody listens at {path}: {error}") from error
    return talk


def _asked(talk: socket.socket, command: dict[str, Any]) -> dict[str, Any]:
    """The answer to one command; lines of the status in between are passed over."""
    try:
        talk.sendall(json.dumps(command).encode() + b"\n")
        with talk.makefile("rb") as lines:
            for line in lines:
                said: dict[str, Any] = json.loads(line)
                if "ok" in said:
                    break
            else:
                raise NotThere("the simulator has hung up")
    except OSError as error:
        raise NotThere(f"the simulator does not answer: {error}") from error
    if not said["ok"]:
        raise click.ClickException(str(said["error"]))
    return said


def _show(devices: list[dict[str, Any]]) -> None:
    table = Table("device", "commands", "protocol", "address", "table")
    for row in devices:
        table.add_row(row["device"], row["commands"], row["protocol"], row["address"], row["profile"])
    Console().print(table)
