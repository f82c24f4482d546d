"""Can the market block work: names that exist, connections that are secured, times in order?"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from controller.config.convert_market import clock_s, split_host
from controller.config.draft import Draft
from controller.config.finding import Path, show
from controller.config.schema import SiteFile
from controller.config.schema_market import MarketModel, ParticipantModel
from controller.domain.market import DESK

_HERE = ("localhost", "127.0.0.1", "::1")
_ENTITY = re.compile(r"ea1\.[0-9]{4}-[0-9]{2}\..{1,244}:.{1,244}|ean\.[0-9]{12,34}")
_KEY_BYTES = (32, 64)  # the signing key alone, or with the encryption key that the protocol puts behind it


def check_market(draft: Draft, file: SiteFile) -> None:
    """The whole block."""
    block = file.market
    if block is None:
        return
    _check_files(draft, block)
    _check_zone(draft, block)
    _check_contracts(draft, block)
    _check_connections(draft, block)
    if block.by_portfolio and not any(one.role == "CRO" for one in block.participants):
        message = "nobody would ever be listed"
        draft.report(("market", "by_portfolio"), "true", "a participant of role CRO with it", message)
    if any(issuer.id == DESK and issuer.service == "flexibility" for issuer in file.platform.issuers):
        draft.report(("platform", "issuers"), DESK, "another id", "the market's own desk has this name")
    seen: dict[str, str] = {}
    for index, one in enumerate(block.participants):
        path: Path = ("market", "participants", index)
        if one.domain == block.domain:
            draft.report((*path, "domain"), show(one.domain), "another domain than ours", "nobody trades with himself")
        _check_once(draft, (*path, "domain"), one.domain, seen)
        _check_participant(draft, file, path, one)
        for unit in one.units:
            _check_once(draft, (*path, "units"), f"unit {unit}", seen)


def _check_contracts(draft: Draft, block: MarketModel) -> None:
    aggregators = {one.domain for one in block.participants if one.role == "AGR"}
    seen: dict[str, str] = {}
    for index, one in enumerate(block.contracts):
        path: Path = ("market", "contracts", index)
        _check_once(draft, (*path, "id"), one.id, seen)
        if one.participant not in aggregators:
            draft.report(
                (*path, "participant"), show(one.participant), "an aggregator of this market", "nobody else has"
            )
        if (one.more_kw or 0.0) * (one.less_kw or 0.0) != 0.0 or not (one.more_kw or one.less_kw):
            draft.report(path, "none or both", "one of more_kw and less_kw above 0", "nobody knows what is reserved")
        if not clock_s(one.begin) < clock_s(one.end):
            draft.report((*path, "end"), show(one.end), f"later than {one.begin}", "it would reserve nothing")
        ahead_h = (clock_s("24:00") - clock_s(one.release_by) + clock_s(one.begin)) / 3600.0
        if block.horizon_h < ahead_h:
            message = "nothing of it could be released: nobody looks so far ahead"
            draft.report((*path, "release_by"), show(one.release_by), f"market.horizon_h above {ahead_h:g}", message)


def _check_connections(draft: Draft, block: MarketModel) -> None:
    for index, address in enumerate(block.connections):
        if not _ENTITY.fullmatch(address):
            path: Path = ("market", "connections", index)
            draft.report(
                path, show(address), "ean. and 12 to 34 digits, or ea1.…", "no reference operator would take it"
            )
    if block.connections and not any(one.role == "CRO" for one in block.participants):
        expected = "a participant of role CRO with them"
        draft.report(("market", "connections"), f"{len(block.connections)}", expected, "nobody would be told")


def _check_files(draft: Draft, block: MarketModel) -> None:
    path: Path = ("market",)
    if (block.cert_file is None) != (block.key_file is None):
        draft.report(path, "one of them", "cert_file with key_file", "a certificate proves nothing without its key")
    host, port = split_host(block.listen)
    if not 1 <= port <= 65_535:
        draft.report((*path, "listen"), show(block.listen), "a port 1…65535", "there is no such port")
    if host not in _HERE and block.cert_file is None:
        message = "beyond this machine messages come by TLS only"
        draft.report((*path, "listen"), show(block.listen), "cert_file and key_file with it, or 127.0.0.1", message)


def _check_zone(draft: Draft, block: MarketModel) -> None:
    if block.timezone is None:
        return
    try:
        ZoneInfo(block.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if available_timezones():
            expected = "an IANA time zone such as Europe/London"
            draft.report(("market", "timezone"), show(block.timezone), expected, "unknown here")


def _check_once(draft: Draft, path: Path, name: str, seen: dict[str, str]) -> None:
    if name in seen:
        draft.report(path, show(name), "one participant for it", f"{seen[name]} has it already")
    seen[name] = str(path[2])


def _check_participant(draft: Draft, file: SiteFile, path: Path, one: ParticipantModel) -> None:
    units = {unit.id for unit in file.units}
    for unit in one.units:
        if unit not in units:
            expected = f"a unit: {', '.join(sorted(units))}"
            draft.report((*path, "units"), show(unit), expected, "there is nothing of that name")
    if one.role == "AGR" and not one.units:
        draft.report((*path, "units"), "none", "at least one unit", "nobody knows where its flexibility is")
    if one.role == "AGR" and one.max_kw <= 0.0:
        draft.report((*path, "max_kw"), show(one.max_kw), "kW above 0", "it could offer nothing")
    url = urlsplit(one.endpoint)
    if url.scheme == "http" and url.hostname not in _HERE:
        draft.report((*path, "endpoint"), show(one.endpoint), "https", "plain http is for this machine only")
    if not _is_key(one.public_key):
        expected = "32 bytes in base64, or 64 with the encryption key"
        draft.report((*path, "public_key"), show(one.public_key), expected, "no signature could be checked with it")


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.removeprefix("cs1."), validate=True)) in _KEY_BYTES
    except binascii.Error:
        return False
