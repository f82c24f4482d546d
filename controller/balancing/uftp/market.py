"""What was agreed with the market and with each participant, as data."""

from __future__ import annotations

from controller.domain.market import ROLES, Market, Participant

__all__ = ["ROLES", "Market", "Participant"]
