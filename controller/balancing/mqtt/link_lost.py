"""The one way in which a link to a broker fails, and how a failure does not hide that nobody wants it any more."""

from __future__ import annotations

import asyncio


class LinkLost(OSError):
    """The broker or the primary host is not there, or not as it must be; says why."""


def end_if_cancelled() -> None:
    """Raise CancelledError when this task was cancelled and something in between did not pass it on.

    ``asyncio.wait_for`` of Python 3.11, which the MQTT client uses, drops a cancellation that comes together with the
    answer, and an error while a connection closes takes the place of one that is under way.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
