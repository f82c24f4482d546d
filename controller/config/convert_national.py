"""The national block from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.convert_market import clock_s
from controller.config.schema import SiteFile
from controller.domain.budget import Allowance
from controller.domain.national import DAY_S, Tender


def to_tender(file: SiteFile) -> Tender | None:
    """What the site offers to a national market; None when it does not."""
    block = file.national
    if block is None:
        return None
    return Tender(
        url=block.url,
        at_s=clock_s(block.at),
        gate_s=clock_s(block.gate),
        start_s=clock_s(block.start),
        end_s=clock_s(block.end),
        units=block.units,
        margin_eur_per_mwh=block.margin_eur_per_mwh,
        ca_file=block.ca_file,
        credentials_file=block.credentials,
        poll_s=block.poll_s,
        penalty_factor=block.penalty_factor,
        w_max=max((unit.p_rated_kw for unit in file.units), default=0.0) * 1e3,
        lasts_s_max=file.control.instruction_h_max * 3600.0,
        writes=Allowance(float(block.writes_per_day), DAY_S),
    )
