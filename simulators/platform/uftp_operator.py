"""A common reference operator on the flexibility market (UFTP), made of the public Shapeshifter library's own service.

It accepts what a DSO tells of its congestion point, and remembers it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shapeshifter_uftp import ShapeshifterCroService, uftp

from simulators.platform.uftp_aggregator import Heard


class Operator(ShapeshifterCroService):  # type: ignore[misc]
    """One operator with its own HTTP server in a thread."""

    def __init__(
        self,
        domain: str,
        signing_key: str,
        key_of: Callable[[str, str], str],
        endpoint_of: Callable[[str, str], str],
        port: int,
    ) -> None:
        super().__init__(domain, signing_key, key_of, endpoint_of, host="127.0.0.1", port=port)
        self.server.config.log_config = None
        self.heard = Heard()

    def process_dso_portfolio_update(self, message: Any) -> None:
        """Accept."""
        self.heard.add(message)
        taken = uftp.DsoPortfolioUpdateResponse(
            conversation_id=message.conversation_id, dso_portfolio_update_message_id=message.message_id
        )
        taken.time_stamp = datetime.now(UTC).isoformat()
        self._get_client(message.sender_domain, uftp.UsefRole.DSO)._send_message(taken)

    def remember(self, message: Any) -> None:
        """Nothing more to do with it."""
        self.heard.add(message)

    process_dso_portfolio_query = remember
    process_agr_portfolio_query = remember
    process_agr_portfolio_update = remember
    process_test_message_response = remember
