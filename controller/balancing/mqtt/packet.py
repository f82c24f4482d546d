"""What is handed to a broker, for those who only think of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """One MQTT message, never retained. QoS 0 (Sparkplug's births and data) or 1 (its node's death)."""

    topic: str
    payload: bytes
    qos: int = 0
