"""The last thing that the control process does: tell every unit its fail-safe set point, then hang up.

Best effort and bounded: the leases in the devices end by themselves, only later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from controller.domain.command import Outcome, OutcomeState
from controller.ports import FieldDevice
from controller.runtime.commands import WriteRequest
from controller.runtime.writer import Writer

LIMIT_S = 2.0
"""Machine seconds that all last writes together may take, and then all closing together."""
RETRY_S = 0.2


async def write_safe(requests: Iterable[WriteRequest], writers: Mapping[str, Writer]) -> dict[str, str]:
    """Write everything at the same time; returns why, for every device that did not acknowledge.

    A write that did not arrive is repeated as long as there is time: a link may be coming back just now.
    """
    wanted = list(requests)
    work = [_insist(writers[request.device_id], request) for request in wanted]
    results = await asyncio.gather(*work, return_exceptions=True)
    complaints = {r.device_id: _complaint(result) for r, result in zip(wanted, results, strict=True)}
    return {device_id: text for device_id, text in complaints.items() if text}


async def close_all(links: Mapping[str, FieldDevice]) -> dict[str, str]:
    """Close every link; returns why, for every one that did not close in time."""
    work = [asyncio.wait_for(link.aclose(), LIMIT_S) for link in links.values()]
    results = await asyncio.gather(*work, return_exceptions=True)
    return {name: repr(result) for name, result in zip(links, results, strict=True) if result is not None}


async def _insist(writer: Writer, request: WriteRequest) -> Outcome:
    outcome = Outcome(OutcomeState.FAILED, f"no answer within {LIMIT_S:g} s")
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                outcome = await writer.last(request)
                if outcome.state is not OutcomeState.FAILED:
                    return outcome
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        return outcome


def _complaint(result: Outcome | BaseException) -> str:
    if isinstance(result, BaseException):
        return repr(result)
    return "" if result.state is OutcomeState.ACKNOWLEDGED else f"{result.state.value}: {result.reason}"
