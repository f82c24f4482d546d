"""A common reference operator (UFTP role CRO), made of the public library's service: who is active where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import uvicorn
from shapeshifter_uftp import ShapeshifterCroService, uftp


class ReferenceOperator(ShapeshifterCroService):  # type: ignore[misc]
    """Answers every portfolio query with the domains that ``active`` gives at that moment."""

    server: uvicorn.Server
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
        utc: Callable[[], datetime],
        active: Callable[[], Sequence[str]],
    ) -> None:
        super().__init__(domain, signing_key, lambda *_: dso_key, lambda *_: dso_endpoint, host="127.0.0.1", port=port)
        self.server.config.log_config = None
        self._utc, self._active = utc, active

    def vanish(self) -> None:
        """Stop listening."""
        self.stop()

    def come_back(self) -> None:
        """Listen again, at the same port."""
        self.server = uvicorn.Server(self.server.config)
        self.run_in_thread()

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
        self._get_client(message.sender_domain, uftp.UsefRole.DSO)._send_message(reply)

    def process_dso_portfolio_update(self, message: Any) -> None:
        """Nothing is kept of it."""

    process_agr_portfolio_query = process_dso_portfolio_update
    process_agr_portfolio_update = process_dso_portfolio_update
