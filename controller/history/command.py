"""``gridedge station``."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from controller.balancing.certificates import CertificateWatch, shown_by
from controller.balancing.national.delivery import Claims
from controller.balancing.national.link import NationalLink
from controller.balancing.openadr_link import OpenAdrLink
from controller.balancing.order_port import OrderPort
from controller.balancing.outbox import OutboxPolicy
from controller.balancing.plan_link import PlanLink
from controller.balancing.sparkplug.telemetry import Telemetry
from controller.balancing.weather.link import WeatherLink
from controller.clock import SystemClock
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.site import Site
from controller.durable_file import refused
from controller.history.collect import PERIOD_S, Collector
from controller.history.doors import Doors
from controller.history.intake import Intake
from controller.history.keeper import Keeper
from controller.history.store import Store, open_store
from controller.readable_errors import readable_errors
from controller.runtime.log import logging_to
from controller.runtime.supervisor import Work, stop_on_signals, supervise
from controller.shared_time import Follower, FollowingTime, time_page_option
from controller.shared_time import run as run_by

if TYPE_CHECKING:
    from controller.balancing.uftp.link import MarketLink

_log = structlog.get_logger()

_STORE_S_MAX = 30.0  # of the machine, for the last periods at the end


@click.command()
@click.argument("site")
@click.option("--record-socket", required=True, type=click.Path(path_type=Path), help="As given to `gridedge run`.")
@click.option("--data", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the store.")
@click.option("--period", type=click.IntRange(1, 3600), default=PERIOD_S, show_default=True, help="Seconds per sample.")
@click.option(
    "--outbox-mb", type=click.IntRange(min=1), default=512, show_default=True, help="Space for unsent messages."
)
@click.option(
    "--platform-socket",
    type=click.Path(path_type=Path),
    help="As given to `gridedge run`: talk to the platform of the site file and pass its orders on there, those of the "
    "market, and what the look-ahead says.",
)
@click.option("--speed", type=click.FloatRange(0.0, 1e5, min_open=True), default=1.0, help="Site seconds per second.")
@click.option(
    "--start-utc",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="Time of day (UTC) to begin with instead of this machine's, for a simulated day.",
)
@time_page_option
@click.option("--json-logs", is_flag=True, help="Log JSON lines instead of text.")
def station(
    site: str,
    *,
    record_socket: Path,
    data: Path,
    period: int,
    outbox_mb: int,
    platform_socket: Path | None,
    speed: float,
    start_utc: datetime | None,
    time_page: Path | None,
    json_logs: bool,
) -> None:
    """Keep the history of SITE: everything that may be slow, apart from the control process.

    Reads the records of `gridedge run --record-socket`, stores mean, lowest and highest of every point per period,
    every event, and what each unit gave up for whom. With a `market` in the site file it trades there, too; with
    `planning` it looks ahead for the storages, with `national` it offers what is left to the national market and
    delivers what that activates, with `weather.forecast` it knows the weather. May be killed at any time; the control
    process does not notice.
    """
    with readable_errors(sqlite3.Error):
        configured = load_site(find_site(site))
        name = configured.name
        _make_folder(data)
        shared = None if time_page is None else FollowingTime(time_page, Follower.STATION)
        clock = SystemClock(speed, None if start_utc is None else start_utc.replace(tzinfo=UTC), shared)
        with logging_to(sys.stderr.buffer, clock, as_json=json_logs):
            keeper_of = partial(open_store, data, name, OutboxPolicy(bytes_max=outbox_mb << 20))
            link = _link(configured, clock, data, platform_socket)
            telemetry = None if configured.sparkplug is None else Telemetry(configured, clock, data)
            market = _market(configured, clock, data, platform_socket)
            plan = _plan(configured, clock, data, platform_socket)
            national = _national(configured, clock, data, platform_socket, _claims_of(link, market))
            service = configured.weather_service
            weather = None if service is None else WeatherLink(service, clock, data)
            links = (link, telemetry, market, plan, national, weather)
            # TLS goes by the machine's time of day, also on a simulated day.
            certificates = CertificateWatch(shown_by(configured), SystemClock())
            code = run_by(_keep(record_socket, period, keeper_of, certificates, *links), shared)
    sys.exit(code)


def _make_folder(data: Path) -> None:
    """On a disk that refuses it is made later, with the first file in it."""
    try:
        data.mkdir(exist_ok=True)
    except OSError as error:
        if not refused(error):
            raise


def _link(site: Site, clock: SystemClock, data: Path, socket: Path | None) -> OpenAdrLink | None:
    """The link to the platform; none without a socket to pass its orders on."""
    if socket is None:
        return None
    if not site.issuers:
        expected = "expected platform.kind openadr3, a market, planning, or national"
        raise ValueError(f"--platform-socket: site {site.name} has nobody who could speak there; {expected}")
    return None if site.platform is None else OpenAdrLink(site, site.platform, clock, data, OrderPort(socket))


def _market(site: Site, clock: SystemClock, data: Path, socket: Path | None) -> MarketLink | None:
    """The market of the site file; its libraries are loaded only where there is one."""
    if site.market is None:
        return None
    try:
        from controller.balancing.uftp.link import MarketLink
    except ImportError as error:
        raise ValueError(f"market: {error}; expected the extra: pip install 'gridedge[market]'") from error
    if socket is None:
        _log.warning(
            "market.stuck", subject="orders", reason="no --platform-socket: units are not told what is ordered"
        )
    return MarketLink(site, site.market, clock, data, None if socket is None else OrderPort(socket))


def _plan(site: Site, clock: SystemClock, data: Path, socket: Path | None) -> PlanLink | None:
    """The look-ahead of the site's storages; it needs the socket to be heard."""
    if site.planning is None:
        return None
    if socket is None:
        _log.warning("plan.stuck", reason="no --platform-socket: the control process is not told what is planned")
        return None
    return PlanLink(site, site.planning, clock, data, OrderPort(socket))


def _claims_of(*services: OpenAdrLink | MarketLink | None) -> Claims:
    """What the local services among these have of the units."""

    async def claims(from_utc_s: float, until_utc_s: float) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for service in services:
            found |= {} if service is None else await service.claims(from_utc_s, until_utc_s)
        return found

    return claims


def _national(site: Site, clock: SystemClock, data: Path, socket: Path | None, claims: Claims) -> NationalLink | None:
    """The national market of the site file; it needs the socket to deliver what it sells."""
    if site.tender is None:
        return None
    if socket is None:
        _log.warning(
            "national.stuck", subject="bid", reason="no --platform-socket: nothing is sold that cannot be delivered"
        )
        return None
    return NationalLink(site, site.tender, clock, data, OrderPort(socket), claims)


async def _keep(
    record_socket: Path,
    period_s: int,
    store: partial[Store],
    certificates: CertificateWatch,
    link: OpenAdrLink | None = None,
    telemetry: Telemetry | None = None,
    market: MarketLink | None = None,
    plan: PlanLink | None = None,
    national: NationalLink | None = None,
    weather: WeatherLink | None = None,
) -> int:
    """Until a signal (0) or a death (1)."""
    stop = asyncio.Event()
    keeper = Keeper(store)
    known_until_s = await keeper.open()
    also = tuple(listener.take for listener in (link, telemetry, plan, national) if listener is not None)
    intake = Intake(record_socket, Collector(period_s, known_until_s), keeper, also)
    tasks: dict[str, Work] = {"intake": intake.run, "keeper": keeper.run} | certificates.tasks()
    if telemetry is not None:
        tasks |= telemetry.tasks(keeper)
    if plan is not None:
        tasks |= plan.tasks()
    doors = Doors()
    services = {"platform": link, "market": market, "national": national, "weather": weather}
    for name, service in services.items():
        if service is not None:
            tasks |= await doors.admit(name, service)

    async def finish() -> None:
        intake.finish()

    with stop_on_signals(stop):
        if keeper.is_open:
            _log.info("history.opened", known_until_utc_s=known_until_s)
        deaths = await supervise(tasks, stop, finish)
        async with asyncio.timeout(_STORE_S_MAX):
            await keeper.aclose()
            for opened in (link, market, plan, national, weather):
                if opened is not None:
                    await opened.aclose()
        _log.info("history.closed", stored=keeper.stored)
    return 1 if deaths else 0
