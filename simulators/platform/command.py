"""``gridedge platform``: a balancing platform on loopback, with a script of what its desks do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import yaml

from controller.runtime.supervisor import stop_on_signals
from simulators.platform.stand_in import BUSINESS, MISBEHAVIOUR, StandIn

_ACTS = ("post", "change", "delete", "misbehave", "outage_s")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8443, show_default=True, help="On 127.0.0.1.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="For certificates.")
@click.option("--mutual", is_flag=True, help="Ask for a certificate too.")
@click.option("--script", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="What its desks do, YAML.")
def platform(port: int, folder: Path, mutual: bool, script: Path | None) -> None:
    """Stand in for a balancing platform: an OpenADR 3.1 VTN over HTTPS on loopback, until interrupted.

    Writes ca.pem, a client certificate (gridedge.pem, .key) and the site's credentials to --folder, and prints what
    belongs into the site file. The script is a list of acts: {after_s: 5, post: {program: NAME, type:
    EXPORT_CAPACITY_LIMIT, values: [3000], as: e1}}, {after_s: 9, delete: e1}, {after_s: 9, outage_s: 60}, {after_s: 9,
    misbehave: half}.
    """
    try:
        acts = [] if script is None else read_script(script.read_text(encoding="utf-8"))
        asyncio.run(_run(StandIn(folder, mutual), port, acts))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def read_script(text: str) -> list[dict[str, Any]]:
    """The acts, by time. Raises ValueError, which says what was expected."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"script: {error}") from error
    if not isinstance(found, list):
        raise ValueError(f"script is {type(found).__name__}; expected a list of acts")  # noqa: TRY004 - of a person
    for number, act in enumerate(found, 1):
        done = [key for key in _ACTS if isinstance(act, dict) and key in act]
        if len(done) != 1 or not isinstance(act.get("after_s"), int | float):
            raise ValueError(f"act {number} is {act!r}; expected after_s and one of {', '.join(_ACTS)}")
        if act.get("misbehave") not in (None, "", *MISBEHAVIOUR):
            raise ValueError(f"act {number}: misbehave {act['misbehave']!r}; expected one of {', '.join(MISBEHAVIOUR)}")
    return sorted(found, key=lambda act: float(act["after_s"]))


async def _run(stand_in: StandIn, port: int, acts: list[dict[str, Any]]) -> None:
    stop = asyncio.Event()
    await stand_in.open(port)
    click.echo(
        f"platform:\n  kind: openadr3\n  url: {stand_in.url}\n  credentials: {stand_in.credentials_file.resolve()}"
    )
    click.echo(f"  ca_file: {stand_in.authority.ca_file.resolve()}")
    click.echo(f"# business logic: client {BUSINESS[0]}, secret {BUSINESS[1]}")
    with stop_on_signals(stop):
        desk = asyncio.create_task(play(stand_in, acts))
        try:
            await stop.wait()
        finally:
            desk.cancel()
            await stand_in.aclose()


async def play(stand_in: StandIn, acts: list[dict[str, Any]]) -> None:
    """Do every act at its time, seconds of the machine from now on."""
    began_s = asyncio.get_running_loop().time()
    programmes: dict[str, dict[str, Any]] = {}
    named: dict[str, str] = {}
    for act in acts:
        await asyncio.sleep(began_s + float(act["after_s"]) - asyncio.get_running_loop().time())
        if "post" in act:
            asked = dict(act["post"])
            name = str(asked.pop("program"))
            if name not in programmes:
                programmes[name] = stand_in.programme(name)
            label = str(asked.pop("as", ""))
            made = stand_in.post(programmes[name], str(asked.pop("type")), asked.pop("values"), **asked)
            named[label] = made["id"]
        elif "change" in act:
            asked = dict(act["change"])
            stand_in.vtn.change("events", named[str(asked.pop("event"))], **asked)
        elif "delete" in act:
            del stand_in.vtn.objects["events"][named[str(act["delete"])]]
        elif "misbehave" in act:
            stand_in.misbehave = str(act["misbehave"] or "")
        else:
            await stand_in.aclose()
            await asyncio.sleep(float(act["outage_s"]))
            await stand_in.open()
