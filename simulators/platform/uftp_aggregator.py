"""An aggregator on the flexibility market (UFTP), made of the public Shapeshifter library's own service.

It answers every request with one offer at its price, takes every order, and remembers all that it was told. It can be
made to misbehave: offers that arrive twice, more power than was asked for, or answers to orders that get lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shapeshifter_uftp import ShapeshifterAgrService, uftp

from simulators.platform.certificates import Identity

logging.getLogger("shapeshifter-uftp").setLevel(logging.CRITICAL)  # whole messages otherwise, on everybody's terminal

LASTS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Manners:
    """How it behaves. ``power_w`` is the most it can change, ``price_eur_per_mwh`` what it wants for that."""

    power_w: int
    price_eur_per_mwh: float
    min_activation: float = 0.1
    offers_twice: bool = False
    exaggerates: float = 1.0
    loses_answers: int = 0
    currency: str = "EUR"


@dataclass(slots=True)
class Heard:
    """What the other side said, in order; ``new`` is set whenever something is added, and ``also`` is told."""

    messages: list[Any] = field(default_factory=list)
    new: threading.Condition = field(default_factory=threading.Condition)
    also: Callable[[Any], None] = lambda _: None

    def add(self, message: Any) -> None:
        """From any thread."""
        with self.new:
            self.messages.append(message)
            self.new.notify_all()
        self.also(message)

    def wait_for(self, kind: str, count: int = 1, timeout_s: float = 10.0) -> list[Any]:
        """The messages of a kind as soon as there are so many. Raises TimeoutError."""

        def those() -> list[Any]:
            return [m for m in self.messages if type(m).__name__ == kind]

        with self.new:
            if not self.new.wait_for(lambda: len(those()) >= count, timeout_s):
                raise TimeoutError(f"{len(those())} {kind} within {timeout_s} s; expected {count}")
            return those()


class Aggregator(ShapeshifterAgrService):  # type: ignore[misc]
    """One aggregator with its own HTTP server in a thread; a context manager."""

    def __init__(
        self,
        domain: str,
        signing_key: str,
        manners: Manners,
        key_of: Callable[[str, str], str],
        endpoint_of: Callable[[str, str], str],
        port: int,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(domain, signing_key, key_of, endpoint_of, host="127.0.0.1", port=port)
        self.server.config.log_config = None
        self.manners, self.heard = manners, Heard()
        self._utc = utc

    def secure(self, identity: Identity) -> None:
        """Serve by TLS with this certificate from the start on."""
        self.server.config.ssl_certfile, self.server.config.ssl_keyfile = identity.cert_file, identity.key_file

    def process_flex_request(self, message: Any) -> None:
        """Accept, and offer as much of what is wanted as there is."""
        self.heard.add(message)
        reply = uftp.FlexRequestResponse(
            conversation_id=message.conversation_id, flex_request_message_id=message.message_id
        )
        self.send(message.sender_domain, reply)
        offer = self.offer_for(message)
        if offer is not None:
            for _ in range(2 if self.manners.offers_twice else 1):
                self.send(message.sender_domain, offer)

    def offer_for(self, message: Any) -> Any | None:
        """The offer that answers a request; None when nothing is wanted."""
        wanted = [isp for isp in message.isps if isp.disposition == uftp.AvailableRequested.REQUESTED]
        isps = [uftp.FlexOfferOptionISP(power=self._power(isp), start=isp.start) for isp in wanted]
        if not isps:
            return None
        hours = message.isp_duration.minutes / 60.0
        energy_mwh = sum(abs(isp.power) for isp in isps) * hours / 1e6
        option = uftp.FlexOfferOption(
            isps=isps,
            option_reference="all",
            price=energy_mwh * self.manners.price_eur_per_mwh,
            min_activation_factor=self.manners.min_activation,
        )
        return self.made_of(message, [option])

    def made_of(self, request: Any, options: list[Any]) -> Any:
        """An offer that answers a request, good for an hour."""
        return uftp.FlexOffer(
            time_stamp=self._utc().isoformat(),
            conversation_id=request.conversation_id,
            isp_duration=request.isp_duration,
            time_zone=request.time_zone,
            period=request.period,
            congestion_point=request.congestion_point,
            expiration_date_time=(self._utc() + LASTS).isoformat(),
            flex_request_message_id=request.message_id,
            currency=self.manners.currency,
            offer_options=options,
        )

    def _power(self, isp: Any) -> int:
        """As much as there is, in the direction that is wanted."""
        limit = int(isp.max_power if isp.max_power > -isp.min_power else isp.min_power)
        size = min(abs(limit), self.manners.power_w) * self.manners.exaggerates
        return round(size if limit > 0 else -size)

    def process_flex_order(self, message: Any) -> None:
        """Take it; a copy is answered as one (UFTP 3.1, "Message validation")."""
        copies = sum(getattr(m, "message_id", "") == message.message_id for m in self.heard.messages)
        self.heard.add(message)
        if copies < self.manners.loses_answers:
            return
        taken = uftp.FlexOrderResponse(
            conversation_id=message.conversation_id, flex_order_message_id=message.message_id
        )
        if copies:
            taken.rejection_reason = "Already Submitted"
        self.send(message.sender_domain, taken)

    def process_flex_reservation_update(self, message: Any) -> None:
        """Be content with what stays reserved."""
        self.heard.add(message)
        taken = uftp.FlexReservationUpdateResponse(
            conversation_id=message.conversation_id, flex_reservation_update_message_id=message.message_id
        )
        self.send(message.sender_domain, taken)

    def send(self, recipient: str, message: Any) -> None:
        """To the DSO, stamped with this world's time."""
        message.time_stamp = message.time_stamp or self._utc().isoformat()
        self._get_client(recipient, uftp.UsefRole.DSO)._send_message(message)

    def process_flex_settlement(self, message: Any) -> None:
        """Remember."""
        self.heard.add(message)

    process_flex_offer_response = process_flex_settlement
    process_flex_offer_revocation_response = process_flex_settlement
    process_d_prognosis_response = process_flex_settlement
    process_metering_response = process_flex_settlement
    process_agr_portfolio_query_response = process_flex_settlement
    process_agr_portfolio_update_response = process_flex_settlement
    process_test_message_response = process_flex_settlement
