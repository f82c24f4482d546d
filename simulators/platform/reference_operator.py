"""A common reference operator (UFTP role CRO), made of the public library's service: who is active where.

It accepts what a DSO tells of its congestion point, and remembers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from shapeshifter_uftp import ShapeshifterCroService, uftp

from simulators.platform.uftp_aggregator import Heard


class ReferenceOperator(ShapeshifterCroService):  # type: ignore[misc]
    """Answers every portfolio query with the domains that ``active`` gives at that moment."""

    num_inbound_threads = 1
    num_outbound_threads = 1

    def __init__(
        self,
        domain: str,
        signing_key: str,
        *,
        dso_key: str,
        dso_endpoint: str,
        port: int,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        active: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        super().__init__(domain, signing_key, lambda *_: dso_key, lambda *_: dso_endpoint, host="127.0.0.1", port=port)
        self.server.config.log_config = None
        self.heard = Heard()
        self._utc, self._active = utc, active

    def process_dso_portfolio_query(self, message: Any) -> None:
        """Name who is active at the congestion point now."""
        listed = [
            uftp.DsoPortfolioQueryConnection(entity_address=f"ean.{k:018d}", agr_domain=domain)
            for k, domain in enumerate(self._active(), start=1)
        ]
        point = uftp.DsoPortfolioQueryCongestionPoint(connections=listed, entity_address=message.entity_address)
        reply = uftp.DsoPortfolioQueryResponse(
            time_stamp=self._utc().isoformat(),
            conversation_id=message.conversation_id,
            dso_portfolio_query_message_id=message.message_id,
            time_zone=message.time_zone,
            period=message.period,
            congestion_point=point if listed else None,
        )
        self._say(message.sender_domain, reply)

    def process_dso_portfolio_update(self, message: Any) -> None:
        """Accept."""
        self.heard.add(message)
        taken = uftp.DsoPortfolioUpdateResponse(
            conversation_id=message.conversation_id, dso_portfolio_update_message_id=message.message_id
        )
        taken.time_stamp = self._utc().isoformat()
        self._say(message.sender_domain, taken)

    def _say(self, recipient: str, message: Any) -> None:
        self._get_client(recipient, uftp.UsefRole.DSO)._send_message(message)

    def remember(self, message: Any) -> None:
        """Nothing more to do with it."""
        self.heard.add(message)

    process_agr_portfolio_query = remember
    process_agr_portfolio_update = remember
    process_test_message_response = remember
