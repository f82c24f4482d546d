"""A deadline that holds around asyncua.

asyncua waits through ``wait_for2``, which turns a cancellation into a subclass of ``CancelledError`` when the answer
came in the same instant; ``asyncio.timeout`` only recognises ``CancelledError`` itself and lets the subclass through.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def deadline(within_s: float) -> AsyncIterator[None]:
    """``asyncio.timeout(within_s)`` that raises ``TimeoutError`` in every case; a foreign cancellation passes."""
    limit = asyncio.timeout(within_s)
    try:
        async with limit:
            yield
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if limit.expired() and task is not None and not task.cancelling():
            raise TimeoutError from cancelled
        raise
