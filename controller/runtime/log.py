"""Where log lines go: readable on a terminal, JSON in service, and never in the way of the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import structlog

from controller.ports import Clock
from controller.runtime.line_sink import LineSink, LogStream


@contextmanager
def logging_to(stream: BinaryIO, clock: Clock, *, as_json: bool) -> Iterator[None]:
    """Send every structlog line to ``stream`` through a thread while the context lasts, stamped with the site's UTC.

    Libraries that use :mod:`logging` are heard from warnings on, over the same stream.
    """
    sink = LineSink(stream, "log")
    text = LogStream(sink)

    def stamp(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"utc": clock.utc().isoformat(timespec="milliseconds")} | event

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            cast(structlog.types.Processor, stamp),
            *_last_steps(as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast(Any, text)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(cast(Any, text))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    try:
        yield
    finally:
        sink.close()
        structlog.reset_defaults()
        logging.getLogger().removeHandler(handler)


def _last_steps(as_json: bool) -> list[structlog.types.Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=False, timestamp_key="utc", exception_formatter=structlog.dev.plain_traceback
        )
    ]
