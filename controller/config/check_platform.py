"""Does the platform block name what exists, and does its contract lie inside the fixed limits?"""

from __future__ import annotations

from controller.config.draft import Draft
from controller.config.finding import Path, show
from controller.config.schema import SiteFile
from controller.config.schema_platform import IssuerModel
from controller.domain.instruction import INTERFACE
from controller.domain.platform import DIRECTIONS

_OTHER_PAYLOADS = ("CAPACITY", "DISPATCH_SETPOINT", "GENERATION_SETPOINT")


def check_platform(draft: Draft, file: SiteFile) -> None:
    """The whole block; what a kind does not use is not asked for."""
    block, path = file.platform, ("platform",)
    if (block.cert_file is None) != (block.key_file is None):
        draft.report(path, "one of them", "cert_file with key_file", "a certificate proves nothing without its key")
    if block.kind != "openadr3":
        return
    for key in ("url", "credentials"):
        if getattr(block, key) is None:
            draft.report((*path, key), "nothing", "a value", "kind openadr3 needs it")
    if any(word in block.reactive_payload for word in _OTHER_PAYLOADS):
        expected = "a type that is not about active power"
        draft.report((*path, "reactive_payload"), show(block.reactive_payload), expected, "it means something else")
    if not block.issuers:
        draft.report((*path, "issuers"), "none", "at least one", "nobody could command anything")
    for index, issuer in enumerate(block.issuers):
        _check_issuer(draft, file, (*path, "issuers", index), issuer)
    for key in ("id", "program"):
        _check_unique(draft, file.platform.issuers, key)
    _check_contract(draft, file)


def _check_issuer(draft: Draft, file: SiteFile, path: Path, issuer: IssuerModel) -> None:
    units = {unit.id for unit in file.units}
    for subject in issuer.subjects:
        if subject in DIRECTIONS:
            _check_direction(draft, file, (*path, "subjects"), subject)
        elif subject != INTERFACE and subject not in units:
            expected = f"export, import, interface or a unit: {', '.join(sorted(units))}"
            draft.report((*path, "subjects"), show(subject), expected, "there is nothing of that name")
    longest_h = file.control.instruction_h_max
    if issuer.lasts_h_max > longest_h:
        expected = f"hours, at most control.instruction_h_max {longest_h:g}"
        draft.report((*path, "lasts_h_max"), show(issuer.lasts_h_max), expected, "no instruction lasts longer")


def _check_direction(draft: Draft, file: SiteFile, path: Path, direction: str) -> None:
    if getattr(file.limits, f"{direction}_kw") is None:
        message = "the platform can only narrow a limit that the site has"
        draft.report(path, show(direction), f"limits.{direction}_kw in the file", message)


def _check_unique(draft: Draft, issuers: tuple[IssuerModel, ...], key: str) -> None:
    seen: set[str] = set()
    for index, issuer in enumerate(issuers):
        value = getattr(issuer, key)
        if value in seen:
            path = ("platform", "issuers", index, key)
            draft.report(path, show(value), "a name of its own", "another entry has it already")
        seen.add(value)


def _check_contract(draft: Draft, file: SiteFile) -> None:
    contract = file.platform.contract
    for direction in DIRECTIONS:
        key = f"{direction}_kw"
        stated, fixed = getattr(contract, key, None), getattr(file.limits, key)
        if stated is not None and (fixed is None or stated > fixed):
            expected = f"kW, at most limits.{key}" + ("" if fixed is None else f" {fixed:g}")
            draft.report(("platform", "contract", key), show(stated), expected, "the contract narrows the site's limit")
    batteries = {unit.id for unit in file.units if unit.kind == "battery"}
    for name in (contract.rest or ()) if contract is not None else ():
        if name not in batteries:
            expected = f"a battery: {', '.join(sorted(batteries)) or 'the site has none'}"
            draft.report(
                ("platform", "contract", "rest"), show(name), expected, "only a battery can stand still unasked"
            )
