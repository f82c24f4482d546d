"""``gridedge simulate``: a whole substation on loopback ports."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from controller.clock import SystemClock
from controller.config.find import find_site
from controller.config.finding import SiteError
from controller.config.loader import load_site
from controller.domain.site import Site
from controller.shared_time import Follower, LeadingTime
from controller.shared_time import run as run_by
from drivers.modbus.endpoint import Endpoint
from simulators.clock_time import parse_clock
from simulators.device_certificates import make_certificates
from simulators.faults import Fault, parse_fault
from simulators.host import Host, HostSettings
from simulators.scenario import Scenario, ScenarioError, load_scenario
from simulators.world import World


@click.command()
@click.argument("site")
@click.option("--speed", default=1.0, show_default=True, help="Site seconds per second of this machine.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Which world to make.")
@click.option("--no-control", is_flag=True, help="Nobody controls it: caps open, batteries idle.")
@click.option("--duration", "hours", type=click.FloatRange(min=0, min_open=True), help="Hours of the site to run.")
@click.option("--start", "start_text", help="Clock time to start at, HH:MM.")
@click.option("--status-socket", "status_path", type=click.Path(), help="Unix socket for truth, score and faults.")
@click.option("--port-offset", default=0, show_default=True, help="Added to every port of the site file.")
@click.option(
    "--certificates",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with ca.pem, device.pem and device.key for modbus+tls; made, with gridedge.pem, where missing.",
)
@click.option("--scenario", "scenario_name", help="Scenario of another site, when SITE is a copy of it.")
@click.option("--linger", is_flag=True, help="Keep the ports open when the day is over, until told to stop.")
@click.option(
    "--time-page", type=click.Path(path_type=Path, dir_okay=False),
    help="Share the time on this page with `gridedge run` and `station`: it stands still while one gets no processor.",
)  # fmt: skip
@click.option(
    "--expect", "expected", type=click.Choice([who.name.lower() for who in Follower]), multiple=True,
    help="With --time-page: time begins when this process goes by it; may be repeated.",
)  # fmt: skip
@click.option("--fault", "faults", multiple=True, help="KIND:DEVICE[.POINT=FRAC][@HH:MM][+SECONDS]; may be repeated.")
def simulate(
    site: str,
    speed: float,
    seed: int,
    no_control: bool,
    hours: float | None,
    start_text: str | None,
    status_path: str | None,
    port_offset: int,
    certificates: Path | None,
    scenario_name: str | None,
    linger: bool,
    time_page: Path | None,
    expected: tuple[str, ...],
    faults: tuple[str, ...],
) -> None:
    """Simulate a substation: serve every device of SITE on the ports of its site file.

    All that a site file can name is served: Modbus TCP, RTU frames in TCP, Modbus/TCP Security, OPC UA, and serial
    lines, which are pseudo terminals under the name of the port (choose one that is free, such as /tmp/bus1).
    SITE is a path, or the name of a file in site_configs/ without its ending. Runs until the scenario's day is over
    or until it is interrupted, then prints what the limits really saw.
    """
    console = Console()
    try:
        SystemClock(speed)
        world = _world(site, scenario_name, seed, not no_control, start_text, [parse_fault(text) for text in faults])
        if certificates is not None and make_certificates(certificates, _secured_hosts(world.site)):
            console.print(f"made certificates for 30 days in {certificates}", highlight=False)
        duration_s = world.scenario.duration_s if hours is None else hours * 3600.0
        shared = None if time_page is None else LeadingTime(time_page, expected=_followers(expected))
        settings = HostSettings(speed, duration_s, port_offset, status_path, certificates, shared, linger)
        final = run_by(_run(world, settings, console), shared)
    except (SiteError, ScenarioError, ValueError, KeyError, OSError) as error:
        raise click.ClickException(str(error)) from error
    _print_score(console, final["score"])


def _followers(names: tuple[str, ...]) -> tuple[Follower, ...]:
    return tuple(Follower[name.upper()] for name in names)


def _secured_hosts(site: Site) -> tuple[str, ...]:
    where = [Endpoint.parse(device.endpoint) for device in site.devices if device.protocol == "modbus"]
    return tuple({item.host: None for item in where if item.tls})


def _world(
    name: str, scenario_name: str | None, seed: int, controlled: bool, start_text: str | None, faults: list[Fault]
) -> World:
    path = find_site(name)
    site = load_site(path)
    scenario = load_scenario(scenario_name or path.stem)
    if start_text is not None:
        scenario = scenario.starting_at(parse_clock(start_text))
    scenario = dataclasses.replace(scenario, faults=(*scenario.faults, *faults))
    _check_faults(site, scenario)
    return World(site, scenario, seed, controlled)


def _check_faults(site: Site, scenario: Scenario) -> None:
    known = [device.id for device in site.devices]
    for fault in scenario.faults:
        if fault.device not in known:
            raise ValueError(f"fault of device {fault.device!r}; expected one of {', '.join(known)}")


async def _run(world: World, settings: HostSettings, console: Console) -> dict[str, Any]:
    host = Host(world, settings, lambda line: console.print(line, highlight=False))
    return await host.run(lambda: _print_table(console, host, settings))


def _print_table(console: Console, host: Host, settings: HostSettings) -> None:
    world = host.world
    control = "" if world.devices else " (no devices)"
    table = Table(
        title=f"{world.site.name}, seed {world.seed}, speed {settings.speed:g}{control}", title_justify="left"
    )
    for heading in ("device", "commands", "protocol", "listens on", "unit", "profile"):
        table.add_column(heading)
    for row in host.endpoints.table():
        unit = str(row.unit_address) if row.protocol.startswith("Modbus") else ""
        table.add_row(row.device, row.commands, row.protocol, row.address, unit, row.profile)
    console.print(table)
    sys.stdout.flush()


def _print_score(console: Console, score: dict[str, Any]) -> None:
    hours = score["duration_s"] / 3600.0
    limits = Table(title=f"True limit keeping over {hours:.2f} h of the site", title_justify="left")
    for heading in ("limit", "kind", "highest", "time over", "longest"):
        limits.add_column(heading)
    for item in score["limits"]:
        highest = item["highest_frac"]
        text = f"{100.0 * highest:.1f} %" if math.isfinite(highest) else "-"
        limits.add_row(item["id"], item["kind"], text, f"{item['over_s']:.0f} s", f"{item['longest_over_s']:.0f} s")
    units = Table(title="Units", title_justify="left")
    for heading in ("unit", "kind", "energy", "curtailed", "flexed"):
        units.add_column(heading)
    for item in score["units"]:
        energies = [f"{item[key] / 1e6:.3f} MWh" for key in ("energy_wh", "curtailed_wh", "flexed_wh")]
        units.add_row(item["id"], item["kind"], *energies)
    console.print(limits)
    console.print(units)
