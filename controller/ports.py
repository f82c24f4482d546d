"""What the control process needs from outside, as protocols. Concrete parts are named only in ``app.py``."""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from controller.domain.command import Outcome
from controller.domain.measurement import Measurement


class Clock(Protocol):
    """Source of time, injected everywhere."""

    speed: float

    def now_s(self) -> float:
        """Monotonic site seconds."""
        ...

    def utc(self) -> datetime:
        """UTC label of now."""
        ...

    def real_s(self, site_s: float) -> float:
        """Machine seconds that a site duration takes."""
        ...


class FieldDevice(Protocol):
    """One piece of hardware behind one connection.

    All values are SI in the house's sign, keyed by the profile's point names (``p_w``, ``u_v``, …). Devices that
    command a unit also report ``p_set_w`` and ``q_set_var``, the set points that they say they hold.
    """

    @property
    def id(self) -> str:
        """Id of the device in the site file."""
        ...

    async def poll(self) -> Mapping[str, Measurement]:
        """Read every point once.

        Never raises for a field fault: what could not be read comes back as BAD or MISSING with a reason. Bounded by
        the device's timeout. Only one poll of a device runs at a time.
        """
        ...

    async def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        """Send a set point that the device shall drop by itself after ``lease_s``.

        Keys of ``values`` and ``revert`` (the value to fall back to) are the command names of the profile:
        ``generation_w_max``, ``consumption_w_max`` (magnitudes ≥ 0), ``p_w`` (battery, load convention), ``q_var``.
        Never retried here. May run while a poll is waiting; the session serialises them, writes first.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection; safe to call twice."""
        ...


class FieldGroup(Protocol):
    """Several :class:`FieldDevice` that are read together because that is cheaper than one by one."""

    def tick(self, group: TaskGroup) -> Sequence[str]:
        """Begin a poll of every device that is not busy with the last one; ids of those that are.

        Never waits. Poll results go to whoever made the group, as they come; work that takes longer runs in ``group``.
        """
        ...


@runtime_checkable
class Inspectable(Protocol):
    """What a :class:`FieldDevice` shows to an engineer beside its values. Optional; the controller never asks."""

    def raw(self) -> Mapping[str, str]:
        """What stood on the wire in the last answer, by point: registers in hexadecimal, or the server's own value."""
        ...

    def counts(self) -> Mapping[str, int]:
        """What happened on the connection since the start: polls, answers, time-outs, refused frames…"""
        ...
