"""The last thing that the control process does: tell every unit its fail-safe set point, then hang up.

Best effort and bounded: the leases in the devices end by themselves, only later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from controller.domain.command import Outcome, OutcomeState
from controller.ports import FieldDevice
from controller.runtime.commands import WriteRequest

LIMIT_S = 2.0
"""Machine seconds that all last writes together may take, and then all closing together."""


async def write_safe(requests: Iterable[WriteRequest], links: Mapping[str, FieldDevice]) -> dict[str, str]:
    """Write everything at the same time; returns why, for every device that did not acknowledge."""
    results = await _all({r.device_id: links[r.device_id].write(r.values, r.lease_s, r.revert) for r in requests})
    return {name: reason for name, result in results.items() if (reason := _complaint(result))}


async def close_all(links: Mapping[str, FieldDevice]) -> dict[str, str]:
    """Close every link; returns why, for every one that did not close in time."""
    results = await _all({name: link.aclose() for name, link in links.items()})
    return {name: repr(result) for name, result in results.items() if isinstance(result, BaseException)}


async def _all(work: Mapping[str, Coroutine[Any, Any, Any]]) -> dict[str, Any]:
    """Result or exception of every coroutine; none may take longer than the limit or spoil another one."""
    bounded = [asyncio.wait_for(coroutine, LIMIT_S) for coroutine in work.values()]
    return dict(zip(work, await asyncio.gather(*bounded, return_exceptions=True), strict=True))


def _complaint(result: Outcome | BaseException) -> str:
    if isinstance(result, TimeoutError):
        return f"no answer within {LIMIT_S:g} s"
    if isinstance(result, BaseException):
        return repr(result)
    return "" if result.state is OutcomeState.ACKNOWLEDGED else f"{result.state.value}: {result.reason}"
