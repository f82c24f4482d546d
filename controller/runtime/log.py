"""Where log lines go: readable on a terminal, JSON in service, and never in the way of the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from controller.ports import Clock
from controller.runtime.line_sink import LineSink, LogStream

_log = structlog.get_logger()

_QUIET_S = 60.0
_MESSAGES_MAX = 1000


@contextmanager
def logging_to(stream: BinaryIO, clock: Clock, *, as_json: bool) -> Iterator[None]:
    """Send every structlog line to ``stream`` through a thread while the context lasts, stamped with the site's UTC.

    What libraries say through :mod:`logging` comes along as event ``library``, from warnings on.
    """
    sink = LineSink(stream, "log")

    def stamp(_: Any, __: str, event: EventDict) -> EventDict:
        return {"utc": clock.utc().isoformat(timespec="milliseconds"), **event}

    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, *_renderers(as_json)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, LogStream(sink))),
    )
    handler = _LibraryHandler(clock)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        sink.close()
        structlog.reset_defaults()


class _LibraryHandler(logging.Handler):
    """Hands a library's record over to structlog, the same message at most once a minute."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._last_s: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        key, now_s = (record.name, str(record.msg)), self._clock.real_s(self._clock.now_s())
        if now_s - self._last_s.get(key, -_QUIET_S) < _QUIET_S:
            return
        if len(self._last_s) >= _MESSAGES_MAX:
            self._last_s.clear()
        self._last_s[key] = now_s
        _log.log(record.levelno, "library", text=record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _renderers(as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=False, timestamp_key="utc", exception_formatter=plain)]
