"""Is the primary host there? What its STATE messages say, in whatever order they come (3.0.0, 5.4 and 6.4.24)."""

from __future__ import annotations

import json

STATE_BYTES_MAX = 4096


class HostWatch:
    """Believes the newest word of the primary host; what is older than that is passed over."""

    def __init__(self) -> None:
        self.online = False
        self._told_ms = -1

    def hear(self, body: bytes, now_ms: int) -> str:
        """Take one STATE message; why it was not believed, empty when it was.

        A word from the future counts as one of now, so that a host whose clock was ahead can still take it back.
        """
        if len(body) > STATE_BYTES_MAX:
            return f"{len(body)} bytes; expected at most {STATE_BYTES_MAX}"
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            return f"not JSON: {error}"
        online, told_ms = (said.get("online"), said.get("timestamp")) if isinstance(said, dict) else (None, None)
        if not isinstance(online, bool) or not isinstance(told_ms, int) or isinstance(told_ms, bool):
            return 'not {"online": true or false, "timestamp": ms since 1970}'
        if told_ms < self._told_ms:
            return f"said at {told_ms}, before the last word at {self._told_ms}"
        self.online, self._told_ms = online, min(told_ms, now_ms)
        return ""
