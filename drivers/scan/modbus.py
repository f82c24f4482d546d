"""Looking for Modbus units behind one address."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.modbus.codec import READ_HOLDING, REGISTERS_MAX, ExceptionAnswer
from drivers.modbus.proof import serial_text
from drivers.profile import Profile
from drivers.profile_checks import registers
from drivers.profile_loader import load_profile
from drivers.scan.findings import Match, UnitFound
from drivers.scan.identification import identification_request, parse_identification, plain
from drivers.scan.match import FUNCTIONS, matching_profiles, sunspec_profile
from drivers.scan.probe import NoAnswerError, Probe, TimeIsUpError
from drivers.sunspec.chain import Chain, ChainWalk, ModelAt
from drivers.sunspec.curves import CURVE_MODELS, Curve, read_curve
from drivers.sunspec.definitions import model

_NOBODY = (10, 11)  # gateway path unavailable, gateway target failed to respond
_ROUNDS_MAX = 4
CURVE_REGISTERS_MAX = 1500
_COMMON = {"vendor": (2, 16), "product_name": (18, 16), "revision": (42, 8), "serial": (50, 16)}
"""Mn, Md, Vr and SN of the common model: offset from its ID and registers (SunSpec model 1)."""


async def scan_units(probe: Probe, addresses: Iterable[int], remarks: list[str]) -> tuple[list[UnitFound], bool]:
    """Every unit that answers, and whether all were asked; when the time was up, ``remarks`` says which were not."""
    found: list[UnitFound] = []
    left = list(addresses)
    try:
        while left:
            unit = await _unit(probe, left[0])
            left.pop(0)
            if unit is not None:
                found.append(unit)
    except TimeIsUpError:
        which = f"unit {left[0]}" if len(left) == 1 else f"units {left[0]} to {left[-1]}"
        remarks.append(f"time is up; not finished: {which} (--within-s gives more)")
    return found, not left


async def _unit(probe: Probe, address: int) -> UnitFound | None:
    texts = await _identified(probe, address)
    if texts is None:
        return None
    walk = await walked(probe, address)
    if walk.chain is not None:
        texts = {**await _common(probe, address, walk.chain), **texts}
        return _sunspec_unit(address, texts, walk.chain, await _curves(probe, address, walk.chain))
    matches = await matching_profiles(probe, address)
    if matches:
        texts = {**await _serial(probe, address, load_profile(matches[0].profile)), **texts}
    return UnitFound(address, texts, matches=matches, remarks=(walk.fault,))


async def _serial(probe: Probe, address: int, profile: Profile) -> dict[str, str]:
    """The serial number where the table says it is; nothing where the device has none there."""
    spec = profile.serial
    if spec is None:
        return {}
    try:
        data = await probe.registers(address, FUNCTIONS[spec.table], spec.address, registers(spec))
    except (ExceptionAnswer, NoAnswerError):
        return {}
    found = serial_text(spec, data, profile.byte_order)
    return {"serial": found} if found else {}


async def _identified(probe: Probe, address: int) -> dict[str, str] | None:
    """Texts of function 43/14, empty when it is not known there; None when nobody answers at all."""
    texts: dict[str, str] = {}
    next_id: int | None = 0
    for _ in range(_ROUNDS_MAX):
        if next_id is None:
            break
        try:
            answer = parse_identification(await probe.ask(address, identification_request(next_id)))
        except ExceptionAnswer as refusal:
            return None if refusal.code in _NOBODY else texts
        except NoAnswerError:
            answer = None
        if answer is None:
            return texts if texts or await _answers_reads(probe, address) else None
        texts |= answer.texts
        next_id = answer.more_from
    return texts


async def _answers_reads(probe: Probe, address: int) -> bool:
    """Some devices are silent to functions that they do not know; nearly all answer a read."""
    try:
        await probe.registers(address, READ_HOLDING, 0, 1)
    except ExceptionAnswer as refusal:
        return refusal.code not in _NOBODY
    except NoAnswerError:
        return False
    return True


async def walked(probe: Probe, address: int) -> ChainWalk:
    """The SunSpec models of a unit, or why there are none."""
    walk = ChainWalk()
    while walk.wanted is not None:
        try:
            walk.take(await probe.registers(address, READ_HOLDING, *walk.wanted))
        except (ExceptionAnswer, NoAnswerError) as refusal:
            walk.refuse(str(refusal))
    return walk


async def _common(probe: Probe, address: int, chain: Chain) -> dict[str, str]:
    """Maker, model, version and serial number from SunSpec model 1."""
    if not chain.models or chain.models[0].id != 1 or chain.models[0].length < 65:
        return {}
    try:
        data = await probe.registers(address, READ_HOLDING, chain.models[0].address, 66)
    except (ExceptionAnswer, NoAnswerError):
        return {}
    return {name: plain(data[2 * at : 2 * (at + size)]) for name, (at, size) in _COMMON.items()}


async def _curves(probe: Probe, address: int, chain: Chain) -> tuple[Curve, ...]:
    """The curves in force of every curve model that can be read in one request after the other."""
    found = []
    for at in chain.models:
        if at.id not in CURVE_MODELS or at.length > CURVE_REGISTERS_MAX:
            continue
        try:
            data = await curve_data(probe, address, at)
        except (ExceptionAnswer, NoAnswerError):
            continue
        curve = read_curve(at.id, data)
        found += [curve] if curve is not None else []
    return tuple(found)


async def curve_data(probe: Probe, address: int, at: ModelAt) -> bytes:
    """All registers of a model, in as many requests as it takes; raises as :meth:`Probe.registers`."""
    data = b""
    for start in range(at.address, at.end, REGISTERS_MAX):
        data += await probe.registers(address, READ_HOLDING, start, min(REGISTERS_MAX, at.end - start))
    return data


def _sunspec_unit(address: int, texts: dict[str, str], chain: Chain, curves: tuple[Curve, ...]) -> UnitFound:
    models = tuple((at.id, _label(at.id), at.address) for at in chain.models)
    profile = sunspec_profile(chain)
    matches = () if profile is None else (Match(profile, 10, "SunSpec models " + _ids(chain)),)
    return UnitFound(address, texts, chain.base, models, matches, curves=curves)


def _label(model_id: int) -> str:
    definition = model(model_id)
    return definition.label if definition is not None else "of its maker"


def _ids(chain: Chain) -> str:
    return ", ".join(str(at.id) for at in chain.models)
