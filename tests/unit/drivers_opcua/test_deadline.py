"""The deadline around asyncua: late is late, however the library words its cancellation."""

from __future__ import annotations

import asyncio

import pytest

from drivers.opcua.deadline import deadline


class WordedCancellation(asyncio.CancelledError):
    """What wait_for2 raises when the answer came in the instant of the cancellation."""


async def late(error: type[BaseException]) -> None:
    try:
        await asyncio.sleep(60.0)
    except asyncio.CancelledError:
        raise error from None


@pytest.mark.parametrize("error", [asyncio.CancelledError, WordedCancellation])
async def test_a_late_answer_is_a_timeout_however_the_cancellation_is_worded(error: type[BaseException]) -> None:
    with pytest.raises(TimeoutError):
        async with deadline(0.0):
            await late(error)


async def test_a_cancellation_from_outside_passes_through() -> None:
    async def waiting() -> None:
        async with deadline(60.0):
            await late(WordedCancellation)

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_in_time_is_let_through() -> None:
    async with deadline(60.0):
        await asyncio.sleep(0)
