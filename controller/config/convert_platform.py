"""The platform block from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.schema import SiteFile
from controller.config.schema_platform import ContractModel, IssuerModel
from controller.domain.budget import Allowance
from controller.domain.owner import Owner
from controller.domain.platform import Issuer, Link, Platform

_HOUR_S = 3600.0


def to_platform(file: SiteFile) -> Platform | None:
    """The platform that the site talks OpenADR with; None when there is none."""
    block = file.platform
    if block.kind != "openadr3" or block.url is None or block.credentials is None:
        return None
    link = Link(
        url=block.url.rstrip("/"),
        ven_name=block.ven_name or file.site.id,
        poll_s=block.poll_s,
        report_s=block.report_s,
        credentials_file=block.credentials,
        ca_file=block.ca_file,
        cert_file=block.cert_file,
        key_file=block.key_file,
        notified=block.notifications == "mqtt",
    )
    issuers = tuple(_issuer(entry) for entry in block.issuers)
    sign = 1.0 if block.reactive_positive == "absorbs" else -1.0
    return Platform(link, issuers, _defaults(block.contract), block.reactive_payload, sign, _rest(block.contract))


def _defaults(contract: ContractModel | None) -> tuple[tuple[str, float], ...]:
    if contract is None:
        return ()
    stated = (("export", contract.export_kw), ("import", contract.import_kw))
    return tuple((direction, kw * 1e3) for direction, kw in stated if kw is not None)


def _rest(contract: ContractModel | None) -> tuple[str, ...]:
    return () if contract is None or contract.rest is None else contract.rest


def _issuer(entry: IssuerModel) -> Issuer:
    return Issuer(
        name=entry.id,
        programme=entry.program,
        service=Owner(entry.service),
        subjects=frozenset(entry.subjects),
        w_max=entry.max_kw * 1e3,
        lasts_s_max=entry.lasts_h_max * _HOUR_S,
        ahead_s_max=entry.ahead_h_max * _HOUR_S,
        commands=Allowance(float(entry.commands_per_h), _HOUR_S),
        writes=Allowance(float(entry.writes_per_day), 24.0 * _HOUR_S),
        var_max=entry.max_kvar * 1e3,
    )
