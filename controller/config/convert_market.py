"""The market block from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.schema import SiteFile
from controller.config.schema_market import ContractModel, MarketModel, ParticipantModel
from controller.domain.budget import Allowance
from controller.domain.market import Contract, Market, Marketplace, Participant, Timetable, Wire, desk_for

_MIN_S, _HOUR_S = 60.0, 3600.0


def to_market(file: SiteFile) -> Marketplace | None:
    """The market that the site trades on; None when there is none."""
    block = file.market
    if block is None:
        return None
    commanded = [one for one in block.participants if one.delivery != "participant"]
    return Marketplace(
        rules=_rules(block, file.site.timezone),
        wire=_wire(block),
        timetable=Timetable(
            plan_s=block.plan_min * _MIN_S,
            horizon_s=block.horizon_h * _HOUR_S,
            offer_s=block.offer_min * _MIN_S,
            lead_s=block.lead_min * _MIN_S,
            again_s=block.again_min * _MIN_S,
        ),
        shortfall_eur_per_mwh=block.shortfall_eur_per_mwh,
        desk=desk_for(
            frozenset(unit for one in commanded for unit in one.units),
            max((unit.p_rated_kw for unit in file.units), default=0.0) * 1e3,
            file.control.instruction_h_max * _HOUR_S,
            Allowance(float(block.writes_per_day), 24.0 * _HOUR_S),
        ),
    )


def split_host(listen: str) -> tuple[str, int]:
    """Host without brackets, and port."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _rules(block: MarketModel, site_zone: str) -> Market:
    return Market(
        domain=block.domain,
        congestion_point=block.congestion_point,
        isp_s=block.isp_min * 60,
        time_zone=block.timezone or site_zone,
        currency=block.currency,
        stale_s=block.stale_s,
        price_max=block.price_max,
        messages_per_hour=block.messages_per_h,
        by_portfolio=block.by_portfolio,
        penalty_factor=block.penalty_factor,
        participants={one.domain: _participant(one) for one in block.participants},
        contracts=tuple(_contract(one) for one in block.contracts),
        connections=block.connections,
        redispatch_by=block.redispatch_by,
    )


def clock_s(text: str) -> float:
    """Seconds since midnight of ``HH:MM``."""
    hours, minutes = text.split(":")
    return int(hours) * _HOUR_S + int(minutes) * _MIN_S


def _contract(one: ContractModel) -> Contract:
    return Contract(
        id=one.id,
        participant=one.participant,
        change_w=((one.more_kw or 0.0) - (one.less_kw or 0.0)) * 1e3,
        from_s=clock_s(one.begin),
        to_s=clock_s(one.end),
        release_s=clock_s(one.release_by),
        working_days=one.days != "weekend",
        weekends=one.days != "working",
    )


def _wire(block: MarketModel) -> Wire:
    host, port = split_host(block.listen)
    return Wire(host, port, block.signing_key, block.cert_file, block.key_file, block.ca_file)


def _participant(one: ParticipantModel) -> Participant:
    return Participant(
        domain=one.domain,
        role=one.role,
        endpoint=one.endpoint,
        key=one.public_key,
        power_w_max=one.max_kw * 1e3,
        units=one.units,
        meters=frozenset(one.meters),
        barred=one.barred,
        delivers_itself=one.delivery == "participant",
        as_needed=one.delivery == "as_needed",
    )
